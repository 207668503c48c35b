// A board to draw on with finger, pen, mouse or arrow keys; what is drawn becomes the pixels training saw.
const SIDE = 336, WIDTH = 26, STEP = 14, INK = 20;
const THICK = 1.1;  // pixels of the model: a thinner line would vanish between them

export class Board {
  constructor(canvas, mark, image, drawing, done) {
    Object.assign(this, { canvas, mark, image, drawing, done, pointer: null, at: [SIDE / 2, SIDE / 2] });
    this.pen = canvas.getContext("2d", { willReadFrequently: true });
    this.clear();
    canvas.onpointerdown = (e) => this.begin(e);
    canvas.onpointermove = (e) => { if (e.pointerId === this.pointer) for (const p of e.getCoalescedEvents?.() || [e]) this.line(this.place(p)); };
    canvas.onpointerup = canvas.onpointercancel = canvas.onlostpointercapture = (e) => { if (e.pointerId === this.pointer) { this.pointer = null; done(); } };
    canvas.onkeydown = (e) => this.key(e);
    canvas.onkeyup = (e) => { if (e.key === "Shift" && this.keyed) { this.keyed = false; done(); } };
    canvas.onblur = () => { mark.hidden = true; };
  }

  place(e) {
    const r = this.canvas.getBoundingClientRect();
    return [(e.clientX - r.left) * SIDE / r.width, (e.clientY - r.top) * SIDE / r.height];
  }

  begin(e) {
    if (e.button !== 0 || this.pointer !== null) return;  // one finger, or the first button
    this.pointer = e.pointerId;
    this.canvas.setPointerCapture(e.pointerId);
    this.at = this.place(e);
    this.line(this.at);
  }

  line(to) {
    this.pen.beginPath();
    this.pen.moveTo(...this.at);
    this.pen.lineTo(...to);
    this.pen.stroke();
    this.at = to;
  }

  key(e) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (way) {
      e.preventDefault();
      const to = this.at.map((v, i) => Math.min(SIDE, Math.max(0, v + way[i] * STEP)));
      if (e.shiftKey) { this.line(to); this.keyed = true; } else this.at = to;
      this.mark.hidden = false;
      Object.assign(this.mark.style, { left: `${to[0] / SIDE * 100}%`, top: `${to[1] / SIDE * 100}%` });
    }
    if (e.key === "Delete" || e.key === "Backspace") this.clear();
    if (e.key === "Enter") this.done();
  }

  clear() {
    this.pen.fillStyle = "#000"; this.pen.fillRect(0, 0, SIDE, SIDE);
    Object.assign(this.pen, { strokeStyle: "#fff", lineWidth: Math.max(WIDTH, THICK * SIDE / Math.min(...this.image.size)), lineCap: "round", lineJoin: "round" });
  }

  async put(url) {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    this.clear();
    this.pen.drawImage(picture, 0, 0, SIDE, SIDE);
  }

  url() { return this.canvas.toDataURL(); }

  // Ink centred and scaled as the pictures of training were; null without ink.
  pixels() {
    const raw = this.pen.getImageData(0, 0, SIDE, SIDE).data;
    let left = SIDE, top = SIDE, right = -1, bottom = -1, mass = 0, mx = 0, my = 0;
    for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) {
      const v = raw[(y * SIDE + x) * 4];
      if (v > INK) { left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y); mass += v; mx += x * v; my += y * v; }
    }
    if (right < 0) return null;
    const [width, height] = this.image.size;
    const middle = this.drawing.centre === "mass" ? [mx / mass, my / mass] : [(left + right + 1) / 2, (top + bottom + 1) / 2];
    const scale = this.drawing.box * Math.min(width, height) / (Math.max(right - left, bottom - top) + 1);
    const small = Object.assign(document.createElement("canvas"), { width, height }), ctx = small.getContext("2d");
    ctx.fillStyle = "#000"; ctx.fillRect(0, 0, width, height);
    ctx.imageSmoothingEnabled = true; ctx.imageSmoothingQuality = "high";
    ctx.translate(width / 2, height / 2); ctx.scale(scale, scale); ctx.translate(-middle[0], -middle[1]);
    ctx.drawImage(this.canvas, 0, 0);
    const data = ctx.getImageData(0, 0, width, height).data, values = [];
    for (let i = 0; i < data.length; i += 4) values.push(this.image.ink === "dark" ? 255 - data[i] : data[i]);
    return { values, url: small.toDataURL() };
  }
}
