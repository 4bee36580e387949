// The page: a dropped picture or the camera, through the very file that was handed over.
const MODEL = '../model.tflite', GOLDEN = '../golden/', WASM = './node_modules/@litertjs/core/wasm/';
const $ = id => document.getElementById(id);
let view = null, model = null, stream = null;

function say(text, kind = '') {
  $('status').textContent = text;
  $('status').className = kind;
}

async function start() {
  try {
    view = await import('./view.js');
  } catch (error) {
    say('LiteRT.js is missing. In this folder: npm install, then python serve.py, and open this page from there.', 'bad');
    document.body.dataset.state = 'missing';
    return;
  }
  model = await view.load(MODEL, WASM);
  say(`Ready: ${view.LABELS.length} classes, pictures of ${view.WIDTH} x ${view.HEIGHT}. Nothing leaves this machine.`);
  for (const id of ['file', 'camera', 'golden']) $(id).disabled = false;
  document.body.dataset.state = 'ready';
}

async function show(picture, width, height) {
  const before = performance.now();
  const found = await view.look(model, picture);
  const ms = performance.now() - before, lines = view.lines(found);
  $('time').textContent = `${ms.toFixed(1)} ms`;
  $('result').replaceChildren(...(lines.length ? lines.map(row) : [nothing()]));
  document.body.dataset.best = lines.length ? lines[0].label : '';
  const above = $('found');
  Object.assign(above, {width, height}); // which clears it
  view.draw(above.getContext('2d'), found);
}

function row({label, share, text, colour}) {
  const line = document.createElement('li'), name = document.createElement('span');
  const bar = document.createElement('meter'), number = document.createElement('span');
  name.textContent = label;
  if (colour) name.style.borderLeft = `.5rem solid ${colour}`;
  bar.value = share;
  number.textContent = text;
  line.append(name, bar, number);
  return line;
}

function nothing() {
  const line = document.createElement('li');
  line.textContent = view.NOTHING;
  return line;
}

async function take(file) {
  stop();
  let picture;
  try {
    picture = await createImageBitmap(file); // upright: its EXIF orientation is applied
  } catch {
    say(`${file.name} is no picture that this browser can read.`, 'bad');
    return;
  }
  const canvas = $('picture');
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext('2d').drawImage(picture, 0, 0);
  document.body.dataset.shows = 'picture';
  await show(picture, picture.width, picture.height);
  say(file.name);
}

async function camera() {
  if (stream) return stop();
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
  } catch (error) {
    return say(`No camera: ${error.message}`, 'bad');
  }
  const video = $('video');
  video.srcObject = stream;
  await video.play();
  document.body.dataset.shows = 'video';
  $('camera').textContent = 'Stop the camera';
  say('Camera');
  while (stream) {
    await show(video, video.videoWidth, video.videoHeight);
    await new Promise(requestAnimationFrame);
  }
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $('camera').textContent = 'Camera';
  document.body.dataset.shows = '';
  $('result').replaceChildren();
  $('time').textContent = '';
}

async function check() {
  stop();
  const golden = await (await fetch(`${GOLDEN}golden.json`)).json();
  const apart = [];
  for (const vector of golden.vectors) apart.push(await view.apart(model, vector, name => pixels(GOLDEN + name)));
  const within = apart.filter(one => one <= view.FAR).length;
  const all = within === apart.length;
  say(`${within} of ${apart.length} vectors agree; the largest difference is ${Math.max(...apart)}`, all ? 'good' : 'bad');
  document.body.dataset.golden = JSON.stringify({within, vectors: apart.length, apart});
}

async function pixels(url) {
  const blob = await (await fetch(url)).blob();
  const picture = await createImageBitmap(blob, {colorSpaceConversion: 'none', premultiplyAlpha: 'none'});
  const context = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, picture.width, picture.height).data;
}

function guarded(action) {
  return async (...given) => {
    try {
      await action(...given);
    } catch (error) {
      say(String(error), 'bad');
      document.body.dataset.state = 'failed';
    }
  };
}

$('file').addEventListener('change', guarded(event => event.target.files[0] && take(event.target.files[0])));
$('camera').addEventListener('click', guarded(camera));
$('golden').addEventListener('click', guarded(check));
document.addEventListener('dragover', event => event.preventDefault());
document.addEventListener('drop', guarded(async event => {
  event.preventDefault();
  if (model && event.dataTransfer.files[0]) await take(event.dataTransfer.files[0]);
}));
guarded(start)();
