// Two images on one stage, left of a divider the one, right of it the other; zoom, pan, windows, values.
// Dragging with the right button sets window width (across) and centre (up and down), as radiologists know it.
// Props: original, privatized (URLs), width, height (of the original), crisp (draw pixels as squares),
// box ([left, top, width, height] as shares), rows, columns (where cells begin, as shares),
// values (say what stands under the pointer), subject (a new one is shown whole),
// units ({unit, low, high, whole, inverted, presets: [[name, centre, width], ...]}: what is black and what is white),
// raw ({left, right} of {url, kind, width, height, channels}: values of the file; without, those of the pictures),
// turns (number of frames and images that the wheel and the arrow keys lead through), film (number of frames).
// Emits "turn" with {step, around}.
// One finger scrolls the page or moves a zoomed image, two zoom; the divider moves by its handle.
const MOST = 32, LARGEST = 1536, PLAIN = { unit: "", low: 0, high: 1, whole: false, inverted: false, presets: [] };

// pixels of a picture, or values of a file, as {data, width, height, channels, scale}
async function raster(about, image) {
  if (about) {
    const answer = await fetch(about.url, { cache: "no-store" });
    if (!answer.ok) throw new Error("no values");
    const kinds = { Uint8Array, Uint16Array, Int16Array, Float32Array };
    return { ...about, data: new kinds[about.kind](await answer.arrayBuffer()), scale: 1 };
  }
  await image.decode();
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  canvas.drawImage(image, 0, 0);
  return { data: canvas.getImageData(0, 0, width, height).data, width, height, channels: 4, scale: 1 / 255 };
}

// means of blocks, where there are more pixels than a screen has
function reduced(found) {
  const step = Math.ceil(Math.max(found.width, found.height) / LARGEST);
  if (step === 1) return found;
  const { data, channels } = found, width = Math.floor(found.width / step), height = Math.floor(found.height / step);
  const small = new Float32Array(width * height * channels);
  for (let row = 0; row < height * step; row++) {
    for (let column = 0; column < width * step; column++) {
      const to = (((row / step) | 0) * width + ((column / step) | 0)) * channels, from = (row * found.width + column) * channels;
      for (let each = 0; each < channels; each++) small[to + each] += data[from + each];
    }
  }
  for (let place = 0; place < small.length; place++) small[place] /= step * step;
  return { ...found, data: small, width, height };
}

function paint(canvas, found, low, high, inverted) {
  const { data, width, height, channels, scale } = (found.small ||= reduced(found));
  const made = new ImageData(width, height), out = new Uint32Array(made.data.buffer);
  const factor = 255 / (high - low) * (inverted ? -1 : 1), base = inverted ? 255 + low * 255 / (high - low) : -low * factor;
  const gray = (value) => Math.min(Math.max(Math.round(value * scale * factor + base), 0), 255);
  for (let place = 0, from = 0; place < out.length; place++, from += channels) {
    const red = gray(data[from]);
    out[place] = channels === 1 ? 0xff000000 | (red * 0x10101) : 0xff000000 | (gray(data[from + 2]) << 16) | (gray(data[from + 1]) << 8) | red;
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(made, 0, 0);
}

export default {
  props: {
    original: String, privatized: String, width: Number, height: Number, crisp: Boolean,
    box: Array, rows: Array, columns: Array, left: String, right: String, leftSize: String, rightSize: String, lone: Boolean, values: Boolean,
    subject: [String, Number], turns: Number, film: Number, units: Object, raw: Object,
  },
  emits: ["turn"],
  data() {
    return { split: 0.5, zoom: 1, x: 0, y: 0, stage: [1, 1], drag: null, chosen: null, cells: false, inverted: false, probe: "", help: false, playing: false, speed: 10 };
  },
  computed: {
    fit() {
      return Math.min(this.stage[0] / this.width, this.stage[1] / this.height);
    },
    plane() {
      const scale = this.fit * this.zoom;
      const size = [this.width * scale, this.height * scale];
      return { size, left: (this.stage[0] - size[0]) / 2 + this.x, top: (this.stage[1] - size[1]) / 2 + this.y };
    },
    planeStyle() {
      const { size, left, top } = this.plane;
      return {
        width: size[0] + "px", height: size[1] + "px", transform: `translate(${left}px, ${top}px)`,
        filter: this.inverted ? "invert(1)" : "none",
      };
    },
    clip() {
      const cut = 1 - (this.split * this.stage[0] - this.plane.left) / this.plane.size[0];
      return `inset(0 ${(100 * Math.min(Math.max(cut, 0), 1)).toFixed(3)}% 0 0)`;
    },
    unit() {
      return this.units || PLAIN;
    },
    ends() { // what is black and what is white
      return this.chosen || [this.unit.low, this.unit.high];
    },
    shownWindow() { // centre and width, as DICOM counts whole numbers
      const [low, high] = this.ends, one = this.unit.whole ? 1 : 0;
      const round = (value) => (one ? Math.round(value * 2) / 2 : Math.round(value * 1000) / 1000);
      return { centre: round((low + high + one) / 2), width: round(high - low + one) };
    },
    preset() {
      if (!this.chosen) return "";
      const { centre, width } = this.shownWindow;
      const place = this.unit.presets.findIndex((each) => each[1] === centre && each[2] === width);
      return place < 0 ? "own" : String(place);
    },
    sources() {
      return [this.original, this.privatized, this.chosen, JSON.stringify(this.raw), this.unit];
    },
    percent() {
      return Math.round(100 * this.split);
    },
    magnification() {
      const factor = this.fit * this.zoom;
      return factor >= 1 ? `${factor.toFixed(1)} ×` : `${Math.round(100 * factor)} %`;
    },
  },
  mounted() {
    this.watcher = new ResizeObserver(() => this.measure());
    this.watcher.observe(this.$refs.stage);
    this.measure();
  },
  beforeUnmount() {
    this.watcher.disconnect();
    clearTimeout(this.next);
  },
  watch: {
    subject() { this.reset(); this.chosen = null; this.inverted = false; this.playing = false; },
    sources: { deep: true, handler() { this.relit(); } },
    playing() { clearTimeout(this.next); if (this.playing) this.roll(); },
    width() { this.reset(); },
    height() { this.reset(); },
  },
  methods: {
    measure() {
      const { clientWidth, clientHeight } = this.$refs.stage;
      this.stage = [clientWidth || 1, clientHeight || 1];
    },
    reset() {
      Object.assign(this, { zoom: 1, x: 0, y: 0 });
    },
    magnify(factor, at) {
      const zoom = Math.min(Math.max(this.zoom * factor, 1), MOST);
      const [px, py] = at || [this.stage[0] / 2, this.stage[1] / 2];
      const { left, top } = this.plane;
      const grown = zoom / this.zoom;
      const size = [this.width * this.fit * zoom, this.height * this.fit * zoom];
      this.x = px - (px - left) * grown - (this.stage[0] - size[0]) / 2;
      this.y = py - (py - top) * grown - (this.stage[1] - size[1]) / 2;
      this.zoom = zoom;
      this.settle();
    },
    settle() {
      const room = [0, 1].map((axis) => Math.max(0, (this.plane.size[axis] - this.stage[axis]) / 2));
      this.x = Math.min(Math.max(this.x, -room[0]), room[0]);
      this.y = Math.min(Math.max(this.y, -room[1]), room[1]);
    },
    actual() {
      this.magnify(1 / (this.fit * this.zoom));
    },
    place(event) {
      const area = this.$refs.stage.getBoundingClientRect();
      return [event.clientX - area.left, event.clientY - area.top];
    },
    touch(event, divider) {
      this.touches = this.touches || new Map();
      this.touches.set(event.pointerId, this.place(event));
      if (this.touches.size === 2) {
        this.gap = this.spread()[0];
        this.drag = null;
      } else if (this.zoom > 1 || divider) return false;
      return true;
    },
    spread() {
      const [[ax, ay], [bx, by]] = [...this.touches.values()];
      return [Math.hypot(ax - bx, ay - by) || 1, [(ax + bx) / 2, (ay + by) / 2]];
    },
    up(event) {
      this.touches?.delete(event.pointerId);
      this.drag = null;
    },
    down(event, divider) {
      if (event.pointerType === "touch" && this.touch(event, divider)) return;
      if (event.button === 2) {
        this.drag = { light: true, from: this.place(event), ends: this.ends };
        this.$refs.stage.setPointerCapture(event.pointerId);
      }
      if (event.button !== 0) return;
      const pans = this.zoom > 1 && !divider;
      this.drag = { pans, from: this.place(event), x: this.x, y: this.y };
      this.$refs.stage.setPointerCapture(event.pointerId);
      if (!pans && !this.lone) this.divide(this.drag.from[0]);
    },
    move(event) {
      const at = this.place(event);
      if (this.touches?.has(event.pointerId)) {
        this.touches.set(event.pointerId, at);
        if (this.touches.size === 2) {
          const [gap, middle] = this.spread();
          this.magnify(gap / this.gap, middle);
          this.gap = gap;
          return;
        }
      }
      if (this.values) this.ask(at);
      if (!this.drag) return;
      if (this.drag.light) {
        const [low, high] = this.drag.ends, whole = this.unit.high - this.unit.low || 1;
        const width = Math.max((high - low) * Math.exp((at[0] - this.drag.from[0]) / 200), whole / 1000);
        const centre = (low + high) / 2 + ((at[1] - this.drag.from[1]) / 400) * (high - low);
        this.light(centre, width);
      } else if (this.drag.pans) {
        this.x = this.drag.x + at[0] - this.drag.from[0];
        this.y = this.drag.y + at[1] - this.drag.from[1];
        this.settle();
      } else if (!this.lone) this.divide(at[0]);
    },
    async ask(at) {
      this.pointer = at;
      const share = [(at[0] - this.plane.left) / this.plane.size[0], (at[1] - this.plane.top) / this.plane.size[1]];
      if (share.some((each) => each < 0 || each >= 1)) { this.probe = ""; return; }
      const sides = ["left", "right"].filter((side) => this.image(side)?.naturalWidth);
      const found = await Promise.all(sides.map((side) => this.pixels(side)));
      if (this.pointer !== at) return; // it moved on, or left
      const said = sides.map((side, place) => `${this[side]} ${found[place] ? this.value(found[place], share) : "?"}`);
      const place = `row ${Math.floor(share[1] * this.height) + 1}, column ${Math.floor(share[0] * this.width) + 1}`;
      this.probe = `${place}: ${said.join(", ")}${this.unit.unit && ` ${this.unit.unit}`}`;
    },
    image(side) {
      return side === "left" ? this.$refs.original : this.$refs.privatized;
    },
    // values of a side, read once; null where they cannot be read
    pixels(side) {
      const about = this.raw?.[side], from = about?.url || this.image(side).src;
      this.read = this.read || {};
      if (this.read[side]?.from !== from) {
        this.read[side] = { from, found: raster(about, this.image(side)).catch(() => null) };
      }
      return this.read[side].found;
    },
    value({ data, width, height, channels, scale }, share) {
      const place = Math.floor(share[1] * height) * width + Math.floor(share[0] * width);
      const digits = this.unit.whole ? { maximumFractionDigits: data instanceof Float32Array ? 1 : 0 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
      const several = [...data.subarray(place * channels, place * channels + Math.min(channels, 3))].map((each) => (each * scale).toLocaleString("en", { ...digits, useGrouping: false }));
      return several.every((each) => each === several[0]) ? several[0] : several.join(" ");
    },
    // a window: the pictures are drawn again from the values
    light(centre, width) {
      this.chosen = [centre - width / 2, centre + width / 2];
    },
    window(centre, width) {
      const one = this.unit.whole ? 1 : 0;
      if (Number.isFinite(centre) && width - one > 0) this.chosen = [centre - width / 2, centre + width / 2 - one];
    },
    choose(name) {
      if (name === "") this.chosen = null;
      else if (name !== "own") this.window(...this.unit.presets[Number(name)].slice(1));
    },
    step() { // to the next preset, and after the last back to the first
      const names = ["", ...this.unit.presets.keys()].map(String);
      this.choose(names[(names.indexOf(this.preset) + 1) % names.length]);
    },
    async relit() {
      if (!this.chosen || this.lighting) { this.again = Boolean(this.lighting); return; }
      this.lighting = true;
      try {
        do {
          this.again = false;
          await this.$nextTick();
          for (const side of ["left", "right"].filter((each) => this.image(each))) {
            const found = await this.pixels(side), canvas = this.$refs[`${side}Canvas`];
            if (found && canvas && this.chosen) paint(canvas, found, ...this.ends, this.unit.inverted);
          }
          await new Promise(requestAnimationFrame);
        } while (this.again && this.chosen);
      } finally { this.lighting = false; }
    },
    // the next frame, when the last one is on the screen
    roll() {
      const began = performance.now();
      this.rolling = () => {
        this.rolling = null;
        this.next = setTimeout(() => this.playing && this.roll(), Math.max(0, 1000 / this.speed - (performance.now() - began)));
      };
      this.$emit("turn", { step: 1, around: true });
    },
    divide(pixels) {
      this.split = Math.min(Math.max(pixels / this.stage[0], 0), 1);
    },
    turn(step) {
      this.playing = false;
      this.$emit("turn", { step, around: false });
    },
    wheel(event) {
      if (!event.ctrlKey && !event.metaKey && !(this.turns > 1)) return; // the page scrolls
      event.preventDefault();
      if (!event.ctrlKey && !event.metaKey) {
        this.rolled = (this.rolled || 0) + event.deltaY;
        if (Math.abs(this.rolled) >= 50) { this.turn(Math.sign(this.rolled)); this.rolled = 0; }
        return;
      }
      this.magnify(Math.exp(-event.deltaY / 300), this.place(event));
    },
    key(event) {
      const pan = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      if (event.key === "+" || event.key === "=") this.magnify(1.5);
      else if (event.key === "-") this.magnify(1 / 1.5);
      else if (event.key === "0") this.reset();
      else if (event.key === "1") this.actual();
      else if (event.key === "i") this.inverted = !this.inverted;
      else if (event.key === "w") this.step();
      else if (event.key === "r") { this.chosen = null; this.inverted = false; }
      else if (event.key === " " && this.film > 1) this.playing = !this.playing;
      else if (this.turns > 1 && (event.key === "PageUp" || event.key === "PageDown")) this.turn(event.key === "PageDown" ? 1 : -1);
      else if (event.key === "?") this.help = !this.help;
      else if (event.key === "Escape" && this.help) this.help = false;
      else if (this.turns > 1 && this.zoom === 1 && (event.key === "ArrowUp" || event.key === "ArrowDown")) this.turn(event.key === "ArrowDown" ? 1 : -1);
      else if (pan && this.zoom > 1) { this.x += pan[0]; this.y += pan[1]; this.settle(); }
      else return;
      event.preventDefault();
    },
    nudge(event) {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
      if (step === undefined) return;
      this.split = Math.min(Math.max(this.split + step, 0), 1);
      event.preventDefault();
      event.stopPropagation();
    },
    shown(event) {
      event.target.dataset.shown = event.target.currentSrc || event.target.src;
      if (event.target === this.$refs.original && this.rolling) this.rolling();
      if (this.probe && this.pointer) this.ask(this.pointer);
    },
  },
  template: `
    <div class="viewer">
      <div class="stage" ref="stage" tabindex="0" role="group" :class="{ zoomed: zoom > 1 }"
        aria-label="Image: plus and minus zoom, 0 fits, 1 shows actual pixels, i inverts, w changes the window, arrow keys move a zoomed image, question mark lists all keys"
        @pointerdown="down($event, false)" @pointermove="move" @pointerup="up" @pointercancel="up"
        @pointerleave="probe = ''; pointer = null" @contextmenu.prevent @wheel="wheel" @keydown="key" @dblclick="zoom > 1 ? reset() : magnify(3, place($event))">
        <div class="plane" :style="planeStyle">
          <img v-if="privatized" ref="privatized" class="privatized" :src="privatized" :class="{ crisp }" :alt="right" draggable="false" @load="shown">
          <canvas v-show="chosen" ref="rightCanvas" :class="{ crisp }" aria-hidden="true"></canvas>
          <img v-if="!lone && original" ref="original" class="original" :src="original" :style="{ clipPath: clip }" :alt="left" draggable="false"
            :class="{ crisp: zoom * fit > 3 }" @load="shown">
          <canvas v-if="!lone" v-show="chosen" ref="leftCanvas" :class="{ crisp: zoom * fit > 3 }" :style="{ clipPath: clip }" aria-hidden="true"></canvas>
          <svg v-if="cells" class="cells" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
            <path :d="(rows || []).map((y) => 'M0 ' + y + 'H1').join('') + (columns || []).map((x) => 'M' + x + ' 0V1').join('')"
              vector-effect="non-scaling-stroke" />
          </svg>
          <div v-if="box && box.length" class="box" :style="{ left: 100 * box[0] + '%', top: 100 * box[1] + '%',
            width: 100 * box[2] + '%', height: 100 * box[3] + '%' }"></div>
        </div>
        <p v-if="!privatized" class="waiting">Reading the image …</p>
        <span v-if="!lone" class="corner top left" v-show="split > 0.12">{{ left }}<small>{{ leftSize }}</small></span>
        <span class="corner top right" v-show="split < 0.88">{{ right }}<small>{{ rightSize }}</small></span>
        <span class="corner bottom left">{{ magnification }}</span>
        <span v-if="probe" class="corner bottom right probe">{{ probe }}</span>
        <div v-if="help" class="keys" role="note">
          <p><kbd>+</kbd> <kbd>−</kbd> zoom · <kbd>0</kbd> fit · <kbd>1</kbd> actual pixels · <kbd>w</kbd> next window · <kbd>i</kbd> invert · <kbd>r</kbd> window of the image · <kbd>?</kbd> this list</p>
          <p>Ctrl + wheel, double click or two fingers zoom; drag a zoomed image. Right button: window width across, centre up and down.</p>
          <p v-if="turns > 1">Wheel, <kbd>↑</kbd> <kbd>↓</kbd>, <kbd>Page ↑</kbd> <kbd>Page ↓</kbd>: previous and next frame or image.<template v-if="film > 1"> Space: play and stop.</template></p>
        </div>
        <div v-if="!lone" class="divider" role="slider" tabindex="0" aria-label="Divider: original on the left, privatized on the right"
          aria-valuemin="0" aria-valuemax="100" :aria-valuenow="percent" :aria-valuetext="percent + ' % original'"
          :style="{ left: 100 * split + '%' }" @pointerdown.stop="down($event, true)" @keydown="nudge">
          <span class="grip" aria-hidden="true"></span>
        </div>
      </div>
      <div class="viewer-bar" role="group" aria-label="View">
        <button type="button" class="quiet" aria-label="Zoom out" @click="magnify(1 / 1.5)">−</button>
        <button type="button" class="quiet" aria-label="Zoom in" @click="magnify(1.5)">+</button>
        <button type="button" class="quiet" @click="reset">Fit</button>
        <button type="button" class="quiet" @click="actual">1 : 1</button>
        <button type="button" class="quiet" v-if="rows" :aria-pressed="String(cells)" @click="cells = !cells">Cells</button>
        <label class="mini">Window <select class="select" aria-label="Window" :value="preset" @change="choose($event.target.value)">
          <option value="">as encoded</option>
          <option v-for="(each, place) in unit.presets" :value="String(place)">{{ each[0] }}</option>
          <option v-if="preset === 'own'" value="own">own</option>
        </select></label>
        <span class="minis"><label class="mini">C <input class="select number" type="number" step="any" aria-label="Window centre" :value="shownWindow.centre" @change="window(Number($event.target.value), shownWindow.width)"></label>
        <label class="mini">W <input class="select number" type="number" step="any" aria-label="Window width" :value="shownWindow.width" @change="window(shownWindow.centre, Number($event.target.value))"> {{ unit.unit }}</label></span>
        <button type="button" class="quiet" :aria-pressed="String(inverted)" @click="inverted = !inverted">Invert</button>
        <button type="button" class="quiet" v-if="chosen || inverted" @click="chosen = null; inverted = false">Reset window</button>
        <template v-if="film > 1">
          <button type="button" class="quiet" :aria-pressed="String(playing)" @click="playing = !playing">{{ playing ? "Stop" : "Play" }}</button>
          <label class="mini"><input class="select number" type="number" min="1" max="60" aria-label="Frames per second" v-model.number="speed"> frames/s</label>
        </template>
        <button type="button" class="quiet" aria-label="Keys" :aria-pressed="String(help)" @click="help = !help">?</button>
        <a v-if="privatized" class="quiet save" :href="privatized" :download="right + '.png'" :aria-label="'Save the picture: ' + right">Save</a>
      </div>
    </div>`,
};
