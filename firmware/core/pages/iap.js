// What a browser adds to the plain pages: judges a file before it is sent, shows how far the board is, waits for it after a reset.
// Everything works without this script, too. No cookie goes with a question: looking on does not keep a session alive.
// Nothing asks while nothing happens: a forgotten page must not keep the board from starting its application.
'use strict';

const $ = id => document.getElementById(id);
const hex = number => '0x' + number.toString(16).padStart(8, '0');
const number = count => count.toLocaleString('en');
const bytes = count => number(count) + ' bytes';
// Of the protocol's error codes.
const BUSY = 30;
const LOGIN_REQUIRED = 50;
const wait = ms => new Promise(done => setTimeout(done, ms));

// The last status.json.
let board = {};
// Whether this page is at work: it then tells itself what happens.
let busy = false;

function say(text, kind = '') {
  const note = $('note');
  note.className = kind;
  // The same text again would be read aloud again.
  if (note.textContent != text) note.textContent = text;
}

async function ask(path, tries = 3) {
  for (;;) {
    try {
      const answer = await fetch(path, { credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(5e3) });
      if (answer.ok) return answer;
      throw answer;
    } catch (wrong) {
      // A board whose connections are all in use refuses one more.
      if (!--tries) throw wrong;
      await wait(1e3);
    }
  }
}

async function look(tries) {
  board = await (await ask('/status.json', tries)).json();
}

// The update that the board is at.
const running = () => /ing$|low/.test(board.phase) && board.update;

// What is installed, in words.
function application() {
  const found = board.application;
  return !found ? 'no application' : found.version == '0.0.0' ? 'an application without version' : 'version ' + found.version;
}

// Replaces parts of this page by what the board says now.
async function redraw(...parts) {
  const page = new DOMParser().parseFromString(await (await ask('/')).text(), 'text/html');
  // What a browser without scripts needs, which a parsed page takes for its own: it would reload this one.
  page.querySelectorAll('noscript').forEach(part => part.remove());
  for (const id of parts) $(id).replaceWith(page.getElementById(id));
}

// Follows somebody else's update.
async function watch() {
  let lost = '';
  while (!busy && $('update') && !document.hidden) {
    await wait(1e3);
    const before = lost;
    lost = await redraw('state').then(() => '', () => 'The board does not answer.');
    if (!busy && lost != before) say(lost, 'bad');
  }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? n >>> 1 ^ 0xEDB88320 : n >>> 1;
  return n;
});

// CRC-32 as zlib has it.
function crc32(data) {
  let crc = -1;
  for (const byte of data) crc = crc >>> 8 ^ crcTable[(crc ^ byte) & 255];
  return ~crc >>> 0;
}

// What the board would refuse anyway, said before it is sent. Throws the sentence; returns what the file is, in what tone, and its bytes:
// the file may be another one by the time it is sent.
async function judge(file) {
  await look();
  const room = board.user_flash_size;
  if (!file.size) throw 'The file is empty.';
  if (file.size > room + 512) throw `The file has ${bytes(file.size)}, the board has room for ${bytes(room)}.`;
  const data = new Uint8Array(await file.arrayBuffer().catch(() => { throw 'The file has changed or is gone: choose it again.'; }));
  const view = new DataView(data.buffer);
  const word = at => view.getUint32(at, true);
  const text = (from, to) => String.fromCharCode(...data.subarray(from, to)).replace(/\0+$/, '');
  const kind = text(0, 4);
  if (/^\x7fELF|^:[\da-f]{3}|^S[0-3][\da-f]{2}/i.test(kind)) throw 'This is an ELF, HEX or S-record file: make an image of it with iapctl convert.';
  if (kind != 'IAPH') {
    if (board.policy == 'signed') throw 'This board takes signed .iap images only.';
    start(data, 0);
    return ['A plain image without header: if it is cut off or for another board, nobody can see it.', 'warn', data];
  }
  if (data.length < 512) throw 'The file ends inside the image header.';
  if (word(508) != crc32(data.subarray(0, 508))) throw 'The image header is damaged: its CRC is wrong.';
  const payload = data.subarray(512), name = text(12, 44), base = word(108);
  if (name != 'any' && name != board.board) throw `The image is for board ${name}, this is ${board.board}.`;
  if (base != board.user_flash_first_page_address)
    throw `The image is linked for ${hex(base)}, applications of this board begin at ${hex(board.user_flash_first_page_address)}.`;
  if (word(112) != payload.length) throw `The image should have ${bytes(word(112))}, here are ${bytes(payload.length)}.`;
  if (word(116) != crc32(payload)) throw 'The image is damaged: the CRC of its payload is wrong.';
  if (word(76) < board.security_counter) throw 'The image is older than the security counter of this board allows.';
  if (board.policy == 'signed' && data.subarray(444, 508).every(byte => !byte)) throw 'This board takes signed images only, this one is not.';
  start(data, 512);
  const version = [44, 46, 48].map(at => view.getUint16(at, true)).join('.') + text(52, 76);
  return [`Version ${version} for board ${name}, ${bytes(payload.length)}, CRC-32 ${hex(word(116))}.`, 'good', data];
}

// The vector table: would the image start where it will be put?
function start(data, at) {
  if (data.length - at < 64) throw 'The image is too short for a vector table.';
  const view = new DataView(data.buffer), stack = view.getUint32(at, true), reset = view.getUint32(at + 4, true);
  const base = board.user_flash_first_page_address, end = base + data.length - at;
  if (stack >>> 28 != 1 && stack >>> 28 != 2) throw `No vector table: the initial stack pointer ${hex(stack)} is outside RAM.`;
  if (reset < base || reset >= end)
    throw `The reset vector ${hex(reset)} is outside the image: link the application for ${hex(base)}.`;
  if (!(reset & 1)) throw `The reset vector ${hex(reset)} is even.`;
}

// Says what is wrong with the chosen file, or what it is; its bytes, if it may be sent.
async function choose() {
  const file = $('file').files[0], verdict = $('verdict');
  try {
    const [text, tone, data] = file ? await judge(file) : ['', ''];
    [verdict.textContent, verdict.className] = [text, tone];
    say('');
    return data;
  } catch (wrong) {
    verdict.textContent = '';
    say(typeof wrong == 'string' ? wrong : 'The board does not answer.', 'bad');
  }
}

// Posts; `done` gets the board's code and sentence. Returns the request.
function post(path, body, done) {
  const request = new XMLHttpRequest();
  request.open('POST', path);
  request.setRequestHeader('accept', 'application/json');
  if (body) request.setRequestHeader('content-type', 'application/octet-stream');
  else request.timeout = 1e4;
  request.onloadend = () => {
    try {
      done(JSON.parse(request.responseText));
    } catch {
      done({ code: -1, text: 'the connection to the board was lost' });
    }
  };
  request.send(body);
  return request;
}

// Shows what the board does until `done` says that `request` is over.
async function follow(total, done, request) {
  const before = board.flash_words, bar = $('bar');
  bar.max = 2 * total;
  let heard = false, idle = 0, last = Date.now();
  for (bar.value = 0; !done(); await wait(300)) {
    // A board that erases is deaf.
    const deaf = heard && setTimeout(say, 500, 'Erasing...');
    heard = await look(1).then(() => true, () => false);
    clearTimeout(deaf);
    if (done()) break;
    const update = heard && running();
    // A connection can be dead without anybody noticing. Timers are slow in a page that is not seen.
    idle = update ? 0 : idle + Math.min(Date.now() - last, 6e3);
    last = Date.now();
    if (idle > 1e4 && !heard) say('The board does not answer. Still trying...');
    if (idle > 3e4) request.abort();
    if (!update) continue;
    const written = Math.min(4 * (board.flash_words - before), total);
    bar.value = update.received + written;
    $('stage').textContent = `${bytes(total)}: ${number(update.received)} received, ${number(written)} programmed`;
    const sector = update.sector ? ` sector ${update.sector}` : '';
    say(board.phase + sector + '...');
  }
}

// Runs `task` with the forms out of reach.
async function alone(task) {
  const from = document.activeElement;
  busy = $('forms').inert = true;
  say('Asking the board...');
  await task().catch(() => say('The board does not answer.', 'bad'));
  onbeforeunload = null;
  busy = $('forms').inert = false;
  // What is next, or what has been out of reach.
  const next = $('note').className == 'good' && $('reset') ? $('reset').lastElementChild : from;
  (next.isConnected ? next : document.querySelector('input')).focus();
}

// Shows why the board did not do it, and the login if that is what is missing.
async function refused(result) {
  if (result.code == LOGIN_REQUIRED) await redraw('forms');
  say(result.text + '.', 'bad');
}

async function upload() {
  const data = await choose();
  if (!data) return;
  const taken = running();
  let result;
  say('Sending...');
  $('work').hidden = false;
  onbeforeunload = event => event.preventDefault();
  // A connection in use is free after 15 s at the latest, if nothing happens on it; a board that lost this client goes on where it was.
  // Until it notices that, it is busy with what it has: browsers send again by themselves, too.
  for (let tries = 0, over; tries < 6 && !over; tries++) {
    await wait(1e3 * tries);
    result = 0;
    const request = post('/upload.cgi', data, answer => result = answer);
    await follow(data.length, () => result, request);
    over = result.code >= 0 && (taken || result.code != BUSY);
  }
  $('work').hidden = true;
  await redraw('state').catch(() => {});
  if (result.code) return refused(result);
  const installed = await look().then(application, () => 'the image');
  say(`In flash and verified: ${installed}. Reset the board to start it.`, 'good');
}

async function reset() {
  await look();
  const before = board.uptime_ms, begun = Date.now();
  const started = application();
  const result = await new Promise(done => post('/resetmcu.cgi', null, done));
  if (result.code > 0) return refused(result);
  say('The board restarts...');
  for (let silent = 0, same = 0; ;) {
    await wait(1e3);
    try {
      await look(1);
      // Short of what it would be without a reset.
      if (board.uptime_ms < before / 2 + Date.now() - begun) break;
      // A connection may have been lost without a reset.
      if (++same == 5) return say('The board has not restarted.', 'bad');
    } catch {
      // Nobody knows whether a board that has not answered has heard.
      if (++silent == 3) say((result.code ? 'The board does not answer.' : `The IAP firmware does not answer any more: ${started} should be running.`) + ' Still looking...');
    }
  }
  await redraw('state', 'forms');
  say(`The board has restarted and is in IAP mode again (${board.iap_reason}). Installed: ${application()}.`, 'good');
}

document.addEventListener('submit', event => {
  const task = { upload, reset }[event.target.id];
  if (!task) return;
  event.preventDefault();
  alone(task);
});
document.addEventListener('change', event => event.target.id == 'file' && choose());
document.addEventListener('visibilitychange', () => {
  if (!busy && !document.hidden) redraw('state').then(watch, () => {});
});
watch();
