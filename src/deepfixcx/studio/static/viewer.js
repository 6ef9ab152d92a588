// Two images on one stage, left of a divider the one, right of it the other; zoom, pan, brightness, values.
// Dragging with the right button sets brightness (across) and contrast (up and down), as radiologists know it.
// Props: original, privatized (URLs), width, height (of the original), crisp (draw pixels as squares),
// box ([left, top, width, height] as shares), rows, columns (where cells begin, as shares),
// values (say what stands under the pointer), subject (a new one is shown whole), turns (the wheel and
// the arrow keys lead to the next or previous frame; emits "turn" with 1 or -1).
// One finger scrolls the page or moves a zoomed image, two zoom; the divider moves by its handle.
const MOST = 32;

export default {
  props: {
    original: String, privatized: String, width: Number, height: Number, crisp: Boolean,
    box: Array, rows: Array, columns: Array, left: String, right: String, leftSize: String, rightSize: String, lone: Boolean, values: Boolean,
    subject: [String, Number], turns: Boolean,
  },
  emits: ["turn"],
  data() {
    return { split: 0.5, zoom: 1, x: 0, y: 0, stage: [1, 1], drag: null, bright: 100, contrast: 100, cells: false, inverted: false, probe: "", help: false };
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
        filter: this.lit ? `brightness(${this.bright}%) contrast(${this.contrast}%) invert(${this.inverted ? 1 : 0})` : "none",
      };
    },
    clip() {
      const cut = 1 - (this.split * this.stage[0] - this.plane.left) / this.plane.size[0];
      return `inset(0 ${(100 * Math.min(Math.max(cut, 0), 1)).toFixed(3)}% 0 0)`;
    },
    lit() {
      return this.bright !== 100 || this.contrast !== 100 || this.inverted;
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
  },
  watch: {
    subject() { this.reset(); },
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
      if (event.button === 2 && !divider) {
        this.drag = { light: true, from: this.place(event), bright: this.bright, contrast: this.contrast };
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
        this.bright = Math.round(Math.min(Math.max(this.drag.bright + (at[0] - this.drag.from[0]) / 2, 40), 240));
        this.contrast = Math.round(Math.min(Math.max(this.drag.contrast - (at[1] - this.drag.from[1]) / 2, 40), 300));
      } else if (this.drag.pans) {
        this.x = this.drag.x + at[0] - this.drag.from[0];
        this.y = this.drag.y + at[1] - this.drag.from[1];
        this.settle();
      } else if (!this.lone) this.divide(at[0]);
    },
    ask(at) {
      const share = [(at[0] - this.plane.left) / this.plane.size[0], (at[1] - this.plane.top) / this.plane.size[1]];
      if (share.some((each) => each < 0 || each >= 1)) { this.probe = ""; return; }
      const sides = [["left", this.$refs.original], ["right", this.$refs.privatized]];
      const said = sides.filter(([, image]) => image && image.naturalWidth).map(([side, image]) => `${this[side]} ${this.value(image, share)}`);
      const place = `row ${Math.floor(share[1] * this.height) + 1}, column ${Math.floor(share[0] * this.width) + 1}`;
      this.probe = `${place}: ${said.join(", ")}`;
    },
    value(image, share) {
      this.pixel = this.pixel || new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      const from = [Math.floor(share[0] * image.naturalWidth), Math.floor(share[1] * image.naturalHeight)];
      this.pixel.drawImage(image, from[0], from[1], 1, 1, 0, 0, 1, 1);
      const [red, green, blue] = [...this.pixel.getImageData(0, 0, 1, 1).data].map((each) => (each / 255).toFixed(2));
      return red === green && green === blue ? red : `${red} ${green} ${blue}`;
    },
    relight() {
      Object.assign(this, { bright: 100, contrast: 100, inverted: false });
    },
    divide(pixels) {
      this.split = Math.min(Math.max(pixels / this.stage[0], 0), 1);
    },
    wheel(event) {
      if (!event.ctrlKey && !event.metaKey && !this.turns) return; // the page scrolls
      event.preventDefault();
      if (!event.ctrlKey && !event.metaKey) {
        this.rolled = (this.rolled || 0) + event.deltaY;
        if (Math.abs(this.rolled) >= 50) { this.$emit("turn", Math.sign(this.rolled)); this.rolled = 0; }
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
      else if (event.key === "?") this.help = !this.help;
      else if (event.key === "Escape" && this.help) this.help = false;
      else if (this.turns && this.zoom === 1 && (event.key === "ArrowUp" || event.key === "ArrowDown")) this.$emit("turn", event.key === "ArrowDown" ? 1 : -1);
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
    },
  },
  template: `
    <div class="viewer">
      <div class="stage" ref="stage" tabindex="0" role="group" :class="{ zoomed: zoom > 1 }"
        aria-label="Image: plus and minus zoom, 0 fits, 1 shows actual pixels, i inverts, arrow keys move a zoomed image, question mark lists all keys"
        @pointerdown="down($event, false)" @pointermove="move" @pointerup="up" @pointercancel="up"
        @pointerleave="probe = ''" @contextmenu.prevent @wheel="wheel" @keydown="key" @dblclick="zoom > 1 ? reset() : magnify(3, place($event))">
        <div class="plane" :style="planeStyle">
          <img v-if="privatized" ref="privatized" class="privatized" :src="privatized" :class="{ crisp }" :alt="right" draggable="false" @load="shown">
          <img v-if="!lone && original" ref="original" class="original" :src="original" :style="{ clipPath: clip }" :alt="left" draggable="false"
            :class="{ crisp: zoom * fit > 3 }">
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
          <p><kbd>+</kbd> <kbd>−</kbd> zoom · <kbd>0</kbd> fit · <kbd>1</kbd> actual pixels · <kbd>i</kbd> invert · <kbd>?</kbd> this list</p>
          <p>Ctrl + wheel, double click or two fingers zoom; drag a zoomed image. Right button: brightness across, contrast up and down.</p>
          <p v-if="turns">Wheel, <kbd>↑</kbd> and <kbd>↓</kbd>: previous and next frame.</p>
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
        <label class="mini">Brightness <input type="range" min="40" max="240" v-model.number="bright"></label>
        <label class="mini">Contrast <input type="range" min="40" max="300" v-model.number="contrast"></label>
        <button type="button" class="quiet" :aria-pressed="String(inverted)" @click="inverted = !inverted">Invert</button>
        <button type="button" class="quiet" v-if="lit" @click="relight">Reset light</button>
        <button type="button" class="quiet" aria-label="Keys" :aria-pressed="String(help)" @click="help = !help">?</button>
        <a v-if="privatized" class="quiet save" :href="privatized" :download="right + '.png'" :aria-label="'Save the picture: ' + right">Save</a>
      </div>
    </div>`,
};
