// The page: a dropped picture or the camera, through the very file that was handed over.
const MODEL = '../model.tflite', GOLDEN = '../golden/', WASM = './node_modules/@litertjs/core/wasm/';
const STEPS = 1, SCORE = 1e-4; // how far an answer may be off: another CPU may round an integer the other way
const SHOWN = 5;
const $ = id => document.getElementById(id);
let classifier = null, api = null, stream = null;

function say(text, kind = '') {
  $('status').textContent = text;
  $('status').className = kind;
}

async function start() {
  try {
    api = await import('./classifier.js');
  } catch (error) {
    say('LiteRT.js is missing. In this folder: npm install, then python serve.py, and open this page from there.', 'bad');
    document.body.dataset.state = 'missing';
    return;
  }
  classifier = await api.Classifier.load(MODEL, WASM);
  say(`Ready: ${api.LABELS.length} classes, pictures of ${api.WIDTH} x ${api.HEIGHT}. Nothing leaves this machine.`);
  for (const id of ['file', 'camera', 'golden']) $(id).disabled = false;
  document.body.dataset.state = 'ready';
}

async function show(picture) {
  const before = performance.now();
  const found = await classifier.classify(picture);
  const ms = performance.now() - before;
  $('time').textContent = `${ms.toFixed(1)} ms`;
  $('result').replaceChildren(...(found.length ? found.slice(0, SHOWN).map(row) : [nothing()]));
  document.body.dataset.best = found.length ? found[0].label : '';
}

function row({label, score}) {
  const line = document.createElement('li'), name = document.createElement('span');
  const bar = document.createElement('meter'), number = document.createElement('span');
  name.textContent = label;
  bar.value = score;
  number.textContent = score.toFixed(3);
  line.append(name, bar, number);
  return line;
}

function nothing() {
  const line = document.createElement('li');
  line.textContent = 'None of the classes reaches its threshold.';
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
  await show(picture);
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
    await show(video);
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
  const whole = golden.output.dtype !== 'float32';
  const apart = [];
  for (const vector of golden.vectors) {
    const found = await classifier.outputs(await pixels(GOLDEN + vector.image));
    apart.push(Math.max(...vector.outputs.map((value, k) => Math.abs(value - found[k]))));
  }
  const within = apart.filter(one => one <= (whole ? STEPS : SCORE)).length;
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
  if (classifier && event.dataTransfer.files[0]) await take(event.dataTransfer.files[0]);
}));
guarded(start)();
