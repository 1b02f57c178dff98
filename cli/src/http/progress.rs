//! A request body that says how much of it has been taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::upload::UploadRequest;

/// Bytes per piece: small enough for a bar that moves, large enough to cost nothing.
const PIECE_LEN: usize = 16 * 1024;

/// The body of an upload.
pub(super) struct CountedBody {
    parts: [Bytes; 3],
    sent: Arc<AtomicU64>,
}

impl CountedBody {
    pub(super) fn new(request: &UploadRequest, sent: Arc<AtomicU64>) -> Self {
        Self {
            parts: request.parts().clone(),
            sent,
        }
    }

    /// Nobody needs to know how much of a small body has left.
    pub(super) fn small(body: impl Into<Bytes>) -> Self {
        Self {
            parts: [body.into(), Bytes::new(), Bytes::new()],
            sent: Arc::default(),
        }
    }

    fn remaining(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = (self.parts.iter_mut())
            .find(|part| !part.is_empty())
            .map(|part| part.split_to(part.len().min(PIECE_LEN)));
        if let Some(piece) = &piece {
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}
