// The code as a picture; the place under the pointer, or moved to by arrow keys, is sent to the server.
// Props: src, side (bands per axis), rows, columns (cells per band), words (of the place), panels ([down, across] of a
// volume: squares of bands, one for each frequency along slices). Emits "point".
export default {
  props: { src: String, side: Number, rows: Number, columns: Number, words: String, panels: Array },
  emits: ["point"],
  data() {
    return { at: null };
  },
  computed: {
    bands() { return (this.panels || [1, 1]).map((each) => each * this.side); },
    down() { return this.bands[0] * this.rows; },
    across() { return this.bands[1] * this.columns; },
    cellStyle() {
      const [row, column] = this.at;
      return { top: (100 * row) / this.down + "%", left: (100 * column) / this.across + "%",
               height: 100 / this.down + "%", width: 100 / this.across + "%" };
    },
    bandStyle() {
      const [row, column] = [Math.floor(this.at[0] / this.rows), Math.floor(this.at[1] / this.columns)];
      const [down, across] = this.bands;
      return { top: (100 * row) / down + "%", left: (100 * column) / across + "%", height: 100 / down + "%", width: 100 / across + "%" };
    },
  },
  watch: {
    src() { this.at = null; },
  },
  methods: {
    move(event) {
      const area = this.$refs.map.getBoundingClientRect();
      this.go(Math.floor(((event.clientY - area.top) / area.height) * this.down),
              Math.floor(((event.clientX - area.left) / area.width) * this.across));
    },
    key(event) {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape") { this.at = null; this.$emit("point", null); return; }
      if (!step) return;
      const far = event.shiftKey ? [this.rows, this.columns] : [1, 1];
      const [row, column] = this.at || [0, 0];
      this.go(row + step[0] * far[0], column + step[1] * far[1]);
      event.preventDefault();
    },
    go(row, column) {
      row = Math.min(Math.max(row, 0), this.down - 1);
      column = Math.min(Math.max(column, 0), this.across - 1);
      if (this.at && this.at[0] === row && this.at[1] === column) return;
      this.at = [row, column];
      this.$emit("point", { band_row: Math.floor(row / this.rows), band_column: Math.floor(column / this.columns),
                            row: row % this.rows, column: column % this.columns });
    },
    leave() {
      this.at = null;
      this.$emit("point", null);
    },
  },
  template: `
    <div class="mosaic">
      <p class="axis">finer vertical edges →</p>
      <div class="map" ref="map" :style="panels && { aspectRatio: panels[1] / panels[0] }" tabindex="0" role="application" aria-label="Map of the code. Arrow keys move from value to value, with Shift from band to band."
        aria-describedby="mosaic-words" @pointermove="move" @pointerleave="leave" @pointerdown="move" @keydown="key">
        <img v-if="src" :src="src" alt="Every value of the code, bright where large, bands from coarse at the top left to fine" draggable="false">
        <div v-if="side > 1 && bands[1] <= 16" class="tiles" :style="{ '--down': bands[0], '--across': bands[1] }"></div>
        <div v-if="panels" class="tiles panels" :style="{ '--down': panels[0], '--across': panels[1] }"></div>
        <div v-if="at" class="band" :style="bandStyle"></div>
        <div v-if="at" class="cell" :style="cellStyle"></div>
      </div>
      <p class="axis side">finer horizontal edges →</p>
      <p v-if="panels && panels[1] > 1" class="axis">squares: finer along slices →</p>
      <p id="mosaic-words" class="mosaic-words" role="status">{{ words }}</p>
    </div>`,
};
