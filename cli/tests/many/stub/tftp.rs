//! Their TFTP servers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use iap_protocol::tftp::{DEFAULT_BLOCK_SIZE, Options, Packet, RESET_FILE_NAME};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use super::{Board, Kind, REFUSAL};

/// Largest block and window, as on a board.
const BLOCK_SIZE: u16 = 1468;
const WINDOW_SIZE: u16 = 32;
/// Silence after which a transfer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// After which what was sent last is sent again.
const REPEAT: Duration = Duration::from_secs(1);
const REPEATS: u32 = 5;

pub(super) async fn serve(board: Rc<Board>, socket: UdpSocket) {
    let mut buffer = [0; 600];
    // The client of the transfer that was asked for last: it may ask again.
    let mut client = None;
    loop {
        let Ok((len, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if !board.hears() {
            continue;
        }
        let Ok(session) = session(socket.local_addr().unwrap().ip(), peer).await else {
            continue;
        };
        match Packet::decode(&buffer[..len]) {
            Ok(Packet::ReadRequest(_)) => {
                tokio::task::spawn_local(send_status(board.clone(), session));
            }
            Ok(Packet::WriteRequest(_)) if client == Some(peer) => {}
            Ok(Packet::WriteRequest(request)) => {
                client = Some(peer);
                let options = request.options;
                if request.file_name == RESET_FILE_NAME.as_bytes() {
                    tokio::task::spawn_local(reset(board.clone(), session, options));
                } else {
                    tokio::task::spawn_local(take(board.clone(), session, options));
                }
            }
            _ => {}
        }
    }
}

async fn session(address: IpAddr, peer: SocketAddr) -> io::Result<UdpSocket> {
    let session = UdpSocket::bind((address, 0)).await?;
    session.connect(peer).await?;
    Ok(session)
}

async fn send_status(board: Rc<Board>, session: UdpSocket) -> io::Result<()> {
    let text = board.status();
    let full = text.len() / usize::from(DEFAULT_BLOCK_SIZE);
    let mut buffer = [0; 600];
    for number in 0..=full {
        let block = number as u16 + 1;
        let start = number * usize::from(DEFAULT_BLOCK_SIZE);
        let end = text.len().min(start + usize::from(DEFAULT_BLOCK_SIZE));
        let payload = &text.as_bytes()[start..end];
        for _ in 0..REPEATS {
            send(&session, &Packet::Data { block, payload }).await?;
            if let Ok(received) = timeout(REPEAT, session.recv(&mut buffer)).await {
                received?;
                break;
            }
        }
    }
    Ok(())
}

/// Takes an image, and tells the board's log how it ended.
async fn take(board: Rc<Board>, session: UdpSocket, asked: Options) {
    if board.kind == Kind::Refusing {
        board.begin();
        let message = REFUSAL.as_bytes();
        let _ = send(&session, &Packet::Error { code: 2, message }).await;
        return board.end(false);
    }
    board.begin();
    let is_aborted = matches!(receive(&board, &session, asked).await, Ok(End::Aborted));
    board.end(is_aborted);
}

async fn reset(board: Rc<Board>, session: UdpSocket, asked: Options) {
    let asked = answer(&session, asked).await;
    let mut body = [0; 600];
    if asked.is_ok() && timeout(PATIENCE, session.recv(&mut body)).await.is_ok() {
        let _ = send(&session, &Packet::Ack { block: 1 }).await;
        board.reset();
    }
}

enum End {
    Complete,
    Aborted,
    Silence,
}

async fn receive(board: &Board, session: &UdpSocket, asked: Options) -> io::Result<End> {
    let granted = answer(session, asked).await?;
    let block_size = usize::from(granted.block_size.unwrap_or(DEFAULT_BLOCK_SIZE));
    let window = u64::from(granted.window_size.unwrap_or(1));
    let mut content = Vec::with_capacity(asked.transfer_size.unwrap_or(0).min(1 << 20) as usize);
    let mut buffer = vec![0; block_size + 4];
    let (mut count, mut acked) = (0u64, 0u64);
    loop {
        let Ok(len) = timeout(PATIENCE, session.recv(&mut buffer)).await else {
            return Ok(End::Silence);
        };
        let (block, payload) = match Packet::decode(&buffer[..len?]) {
            Ok(Packet::Data { block, payload }) => (block, payload),
            Ok(Packet::Error { .. }) => return Ok(End::Aborted),
            _ => continue,
        };
        if block != (count + 1) as u16 {
            // Sent twice, or one before it is missing: what came in order is acknowledged.
            send(
                session,
                &Packet::Ack {
                    block: count as u16,
                },
            )
            .await?;
            acked = count;
            continue;
        }
        count += 1;
        content.extend_from_slice(payload);
        let is_last = payload.len() < block_size;
        let erases = acked == 0 && (is_last || count == window);
        if erases && !erase(board, session).await? {
            return Ok(End::Aborted);
        }
        if is_last {
            if !board.commit("tftp", content) {
                let message = b"the CRC-32 of the image is wrong";
                send(session, &Packet::Error { code: 2, message }).await?;
                return Ok(End::Complete);
            }
            send(session, &Packet::Ack { block }).await?;
            return Ok(End::Complete);
        }
        if count - acked >= window {
            send(session, &Packet::Ack { block }).await?;
            acked = count;
        }
    }
}

/// Grants what a board grants.
async fn answer(session: &UdpSocket, asked: Options) -> io::Result<Options> {
    let granted = Options {
        block_size: asked.block_size.map(|size| size.min(BLOCK_SIZE)),
        window_size: asked.window_size.map(|size| size.min(WINDOW_SIZE)),
        ..asked
    };
    match granted == Options::default() {
        true => send(session, &Packet::Ack { block: 0 }).await?,
        false => send(session, &Packet::OptionAck(granted)).await?,
    }
    Ok(granted)
}

/// Says nothing while it lasts; for those that stop or are stuck that is until the client gives up, and then it is false.
async fn erase(board: &Board, session: &UdpSocket) -> io::Result<bool> {
    match board.kind {
        Kind::Stopping => board.stop(),
        Kind::Stuck => {}
        _ if board.erase.is_zero() => return Ok(true),
        _ => {
            sleep(board.erase).await;
            return Ok(true);
        }
    }
    let mut buffer = [0; 2048];
    loop {
        let len = session.recv(&mut buffer).await?;
        if let Ok(Packet::Error { .. }) = Packet::decode(&buffer[..len]) {
            return Ok(false);
        }
    }
}

async fn send(session: &UdpSocket, packet: &Packet<'_>) -> io::Result<()> {
    let mut bytes = [0; 600];
    let len = packet.encode(&mut bytes).unwrap();
    session.send(&bytes[..len]).await?;
    Ok(())
}
