// Three planes of a volume, original above privatized, with one cross-hair for all; windows in the unit of the file.
// Props: url (of planes), version (grows with every reconstruction), subject (a new one starts in the middle), size (slices, rows,
// columns of the original), spacing (millimetres, in this order), planes ([{name, around, down, across, flips, edges}]),
// sides ({original, privatized} of {kind, size}), units (as of the viewer), box ([[start, end], ...] as shares of the axes).
// Emits "cross" with [slice, row, column] when the cross-hair has another place.
const SIDES = ["original", "privatized"];
const PLAIN = { unit: "", low: 0, high: 1, whole: false, inverted: false, presets: [] };

export default {
  props: {
    url: String, version: Number, subject: Number, size: Array, spacing: Array, planes: Array, sides: Object, units: Object, box: Array,
  },
  emits: ["cross"],
  data() {
    return { at: [0, 0, 0], chosen: null, inverted: false, single: -1, drag: null, said: "", help: false };
  },
  computed: {
    unit() { return this.units || PLAIN; },
    ends() { return this.chosen || [this.unit.low, this.unit.high]; },
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
    shown() { return (this.planes || []).filter((each, place) => this.single < 0 || this.single === place); },
    columns() { // one scale for all planes
      if (this.single >= 0) return "minmax(0, 1fr)";
      return this.shown.map((plane) => `minmax(0, ${this.millimetres(plane.across).toFixed(2)}fr)`).join(" ");
    },
  },
  watch: {
    subject() { this.start(); },
    version() { this.fetchSide("privatized"); },
    units() { this.draw(); },
    ends() { this.draw(); },
    inverted() { this.draw(); },
    single() { this.$nextTick(this.draw); },
  },
  mounted() { this.wanted = {}; this.busy = {}; this.data = {}; if (this.subject) this.start(); },
  methods: {
    start() {
      Object.assign(this, { at: this.size.map((length) => length >> 1), chosen: null, inverted: false, said: "" });
      this.data = {};
      this.moved();
    },
    millimetres(axis) { return this.size[axis] * this.spacing[axis]; },
    placeOn(side) { // the voxel of a side at the cross-hair
      const { size } = this.sides[side];
      return this.at.map((place, axis) => Math.min(Math.floor(((place + 0.5) * size[axis]) / this.size[axis]), size[axis] - 1));
    },
    moved() {
      for (const side of SIDES) this.fetchSide(side);
      clearTimeout(this.later);
      this.later = setTimeout(() => this.$emit("cross", this.at), 60);
    },
    go(axis, place) {
      const kept = Math.min(Math.max(Math.round(place), 0), this.size[axis] - 1);
      if (kept === this.at[axis]) return;
      this.at = this.at.map((each, other) => (other === axis ? kept : each));
      this.moved();
    },
    // values of three planes through the cross-hair; of many places in a row, the last
    async fetchSide(side) {
      if (!this.sides) return;
      this.wanted[side] = `${this.url}/${side}/${this.placeOn(side).join("/")}?${side === "original" ? this.subject : this.version}`;
      if (this.busy[side]) return;
      this.busy[side] = true;
      try {
        for (let asked = null; asked !== this.wanted[side];) {
          asked = this.wanted[side];
          const { kind, size } = this.sides[side], answer = await fetch(asked, { cache: "no-store" });
          if (!answer.ok) continue; // the volume has changed meanwhile
          const found = new { Uint8Array, Uint16Array, Int16Array, Float32Array }[kind](await answer.arrayBuffer());
          let from = 0;
          const planes = {};
          for (const { name, down, across } of this.planes) {
            const [height, width] = [size[down], size[across]];
            planes[name] = { width, height, data: found.subarray(from, from + height * width) };
            from += height * width;
          }
          if (asked !== this.wanted[side] && from > found.length) continue;
          this.data[side] = planes;
          this.draw();
          this.$el.dataset[side] = asked;
        }
      } finally { this.busy[side] = false; }
      this.say();
    },
    draw() {
      for (const side of SIDES) {
        for (const { name } of this.shown) {
          const found = this.data[side]?.[name], canvas = this.$refs[`${side}-${name}`]?.[0];
          if (found && canvas) this.paint(canvas, found);
        }
      }
    },
    paint(canvas, { data, width, height }) {
      const [low, high] = this.ends, turned = Boolean(this.unit.inverted) !== this.inverted;
      const factor = 255 / (high - low), made = new ImageData(width, height), out = new Uint32Array(made.data.buffer);
      for (let place = 0; place < out.length; place++) {
        const gray = Math.min(Math.max(Math.round((data[place] - low) * factor), 0), 255);
        out[place] = 0xff000000 | ((turned ? 255 - gray : gray) * 0x10101);
      }
      Object.assign(canvas, { width, height });
      canvas.getContext("2d").putImageData(made, 0, 0);
    },
    share(plane, axis) { // where the cross-hair is on an axis of a plane, from 0 to 1
      const place = (this.at[axis] + 0.5) / this.size[axis];
      return plane.flips[axis === plane.down ? 0 : 1] ? 1 - place : place;
    },
    boxStyle(plane) {
      const ends = [plane.down, plane.across].map((axis, place) => {
        const [start, end] = this.box[axis];
        return plane.flips[place] ? [1 - end, 1 - start] : [start, end];
      });
      const [start, end] = this.box[plane.around], here = (this.at[plane.around] + 0.5) / this.size[plane.around];
      return {
        top: 100 * ends[0][0] + "%", height: 100 * (ends[0][1] - ends[0][0]) + "%", left: 100 * ends[1][0] + "%",
        width: 100 * (ends[1][1] - ends[1][0]) + "%", borderStyle: here >= start && here < end ? "solid" : "dashed",
      };
    },
    pointed(plane, event) { // shares of a plane under the pointer, down and across
      const area = event.currentTarget.getBoundingClientRect();
      return [(event.clientY - area.top) / area.height, (event.clientX - area.left) / area.width].map((each) => Math.min(Math.max(each, 0), 0.99999));
    },
    cross(plane, event) {
      const shares = this.pointed(plane, event), at = [...this.at];
      [plane.down, plane.across].forEach((axis, place) => {
        at[axis] = Math.floor((plane.flips[place] ? 1 - shares[place] : shares[place]) * this.size[axis]);
        at[axis] = Math.min(Math.max(at[axis], 0), this.size[axis] - 1);
      });
      if (at.every((each, axis) => each === this.at[axis])) return;
      this.at = at;
      this.moved();
    },
    down(plane, event) {
      if (event.button === 2) this.drag = { light: true, from: [event.clientX, event.clientY], ends: this.ends };
      else if (event.button === 0) { this.drag = { light: false }; this.cross(plane, event); }
      if (event.pointerType !== "touch") event.currentTarget.setPointerCapture(event.pointerId);
    },
    move(plane, event) {
      if (this.drag?.light) {
        const [low, high] = this.drag.ends, whole = this.unit.high - this.unit.low || 1;
        const width = Math.max((high - low) * Math.exp((event.clientX - this.drag.from[0]) / 200), whole / 1000);
        const centre = (low + high) / 2 + ((event.clientY - this.drag.from[1]) / 400) * (high - low);
        this.chosen = [centre - width / 2, centre + width / 2];
      } else if (this.drag) this.cross(plane, event);
      else { this.pointer = [plane, this.pointed(plane, event)]; this.say(); }
    },
    leave() { this.pointer = null; this.say(); },
    // values of both sides under the pointer; without one, at the cross-hair
    say() {
      const plane = this.pointer?.[0] || this.planes?.[0];
      if (!plane || !SIDES.every((side) => this.data[side])) return;
      const shares = this.pointer?.[1] || [this.share(plane, plane.down), this.share(plane, plane.across)];
      const at = [...this.at];
      [plane.down, plane.across].forEach((axis, place) => { at[axis] = Math.floor((plane.flips[place] ? 1 - shares[place] : shares[place]) * this.size[axis]); });
      const values = SIDES.map((side) => {
        const { data, width, height } = this.data[side][plane.name];
        const value = data[Math.floor(shares[0] * height) * width + Math.floor(shares[1] * width)];
        const digits = this.unit.whole ? { maximumFractionDigits: data instanceof Float32Array ? 1 : 0 } : { maximumSignificantDigits: 4 };
        return `${side} ${value === undefined ? "?" : value.toLocaleString("en", { ...digits, useGrouping: false })}`;
      });
      this.said = `slice ${at[0] + 1}, row ${at[1] + 1}, column ${at[2] + 1}: ${values.join(", ")}${this.unit.unit && ` ${this.unit.unit}`}`;
    },
    step(plane, step) { this.go(plane.around, this.at[plane.around] + step); },
    wheel(plane, event) {
      if (event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.rolled = (this.rolled || 0) + event.deltaY;
      if (Math.abs(this.rolled) >= 50) { this.step(plane, Math.sign(this.rolled)); this.rolled = 0; }
    },
    window(centre, width) {
      const one = this.unit.whole ? 1 : 0;
      if (Number.isFinite(centre) && width - one > 0) this.chosen = [centre - width / 2, centre + width / 2 - one];
    },
    choose(name) {
      if (name === "") this.chosen = null;
      else if (name !== "own") this.window(...this.unit.presets[Number(name)].slice(1));
    },
    key(plane, event) {
      const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
      const names = ["", ...this.unit.presets.keys()].map(String);
      if (step) this.step(plane, step);
      else if (event.key === "Home" || event.key === "End") this.go(plane.around, event.key === "Home" ? 0 : this.size[plane.around]);
      else if (event.key === "w") this.choose(names[(names.indexOf(this.preset) + 1) % names.length]);
      else if (event.key === "i") this.inverted = !this.inverted;
      else if (event.key === "r") { this.chosen = null; this.inverted = false; }
      else if (event.key === "f") this.single = this.single < 0 ? this.planes.indexOf(plane) : -1;
      else if (event.key === "?") this.help = !this.help;
      else if (event.key === "Escape" && (this.help || this.single >= 0)) { this.help = false; this.single = -1; }
      else return;
      event.preventDefault();
    },
    label(plane) { return `${plane.name} plane ${this.at[plane.around] + 1} of ${this.size[plane.around]}`; },
  },
  template: `
    <div class="volume">
      <div class="volume-planes" :class="{ single: single >= 0 }" :style="{ '--columns': columns }">
        <div v-for="plane in shown" :key="plane.name" class="volume-column">
          <div class="volume-head">
            <label :for="'place-' + plane.name">{{ plane.name }} <span>{{ at[plane.around] + 1 }} / {{ size[plane.around] }}</span></label>
            <button type="button" class="quiet" :aria-label="(single < 0 ? 'Enlarge the ' : 'Reduce the ') + plane.name.toLowerCase() + ' plane'"
              @click="single = single < 0 ? planes.indexOf(plane) : -1">{{ single < 0 ? "Enlarge" : "All planes" }}</button>
            <input type="range" :id="'place-' + plane.name" min="0" :max="size[plane.around] - 1" :value="at[plane.around]"
              :aria-valuetext="label(plane)" @input="go(plane.around, Number($event.target.value))">
          </div>
          <div v-for="side in ['original', 'privatized']" :key="side" class="volume-plane" :tabindex="side === 'original' ? 0 : -1" role="group"
            :aria-label="label(plane) + ', ' + side + ': arrow keys up and down lead through, question mark lists all keys'" @keydown="key(plane, $event)" @wheel="wheel(plane, $event)">
            <div class="volume-image" :style="{ aspectRatio: millimetres(plane.across) / millimetres(plane.down) }" @pointerdown="down(plane, $event)" @pointermove="move(plane, $event)"
              @pointerup="drag = null" @pointercancel="drag = null" @pointerleave="leave" @contextmenu.prevent @dblclick="single = single < 0 ? planes.indexOf(plane) : -1">
              <canvas :ref="side + '-' + plane.name" :class="{ crisp: side === 'privatized' }" role="img" :aria-label="side + ', ' + label(plane)"></canvas>
              <i class="cross across" :style="{ top: 100 * share(plane, plane.down) + '%' }"></i>
              <i class="cross along" :style="{ left: 100 * share(plane, plane.across) + '%' }"></i>
              <div v-if="box && box.length" class="box" :style="boxStyle(plane)"></div>
              <span v-for="(edge, place) in plane.edges" class="edge" :class="['top', 'right', 'bottom', 'left'][place]" aria-hidden="true">{{ edge }}</span>
              <span v-if="plane === shown[0]" class="corner top left">{{ side }}</span>
            </div>
          </div>
        </div>
      </div>
      <p class="volume-said" role="status">{{ said }}</p>
      <div v-if="help" class="volume-keys" role="note">
        <p>Click or drag: cross-hair. Wheel, <kbd>↑</kbd> <kbd>↓</kbd>, <kbd>Page ↑</kbd> <kbd>Page ↓</kbd>, <kbd>Home</kbd>, <kbd>End</kbd>: other planes. Double click or <kbd>f</kbd>: one plane large.</p>
        <p>Right button: window width across, centre up and down · <kbd>w</kbd> next window · <kbd>i</kbd> invert · <kbd>r</kbd> window of the volume · <kbd>?</kbd> this list</p>
      </div>
      <div class="viewer-bar" role="group" aria-label="View">
        <label class="mini">Window <select class="select" aria-label="Window" :value="preset" @change="choose($event.target.value)">
          <option value="">as encoded</option>
          <option v-for="(each, place) in unit.presets" :value="String(place)">{{ each[0] }}</option>
          <option v-if="preset === 'own'" value="own">own</option>
        </select></label>
        <span class="minis"><label class="mini">C <input class="select number" type="number" step="any" aria-label="Window centre" :value="shownWindow.centre" @change="window(Number($event.target.value), shownWindow.width)"></label>
        <label class="mini">W <input class="select number" type="number" step="any" aria-label="Window width" :value="shownWindow.width" @change="window(shownWindow.centre, Number($event.target.value))"> {{ unit.unit }}</label></span>
        <button type="button" class="quiet" :aria-pressed="String(inverted)" @click="inverted = !inverted">Invert</button>
        <button type="button" class="quiet" v-if="chosen || inverted" @click="chosen = null; inverted = false">Reset window</button>
        <button type="button" class="quiet" aria-label="Keys" :aria-pressed="String(help)" @click="help = !help">?</button>
      </div>
    </div>`,
};
