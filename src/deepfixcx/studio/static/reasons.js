// Reasons of a model: cells on the image, a field for each scale and direction of edges, and sentences.
// What is pointed at in one of them is marked in the others: a cell shows its amounts in the fields, a field
// shows its amounts in the cells, a sentence both. Amounts, signs, colours and scales are those of the figure
// of the command line: orange towards the label, blue away from it.
// Props: pictures ([{name, url}], the original first), width, height, rows, columns (first and last edge of
// each cell, as shares), amounts ([group][row][column]), groups ([{name, x, y, wide}]), scales (names of the
// rows of fields), directions, reasons ([{row, column, group, words}]), label, unit, most ([cells, fields]).
const LEAST_SIGN = 0.15, MOST_SIGNS = 12, STRONGEST = 0.75;

export default {
  props: {
    pictures: Array, width: Number, height: Number, rows: Array, columns: Array, amounts: Array, groups: Array,
    scales: Array, directions: Array, reasons: Array, label: String, unit: String, most: Array,
  },
  data() {
    return { at: null, kept: null, picture: 0 };
  },
  watch: {
    amounts() { this.at = this.kept = null; },
  },
  computed: {
    here() {
      const found = this.at || this.kept;
      return found?.reason === undefined ? found || {} : { ...this.reasons[found.reason], reason: found.reason };
    },
    cells() {
      const several = this.here.row === undefined && this.here.group !== undefined ? [this.here.group] : [...this.amounts.keys()];
      return this.rows.map((_, row) => this.columns.map((_, column) => several.reduce((sum, group) => sum + this.amounts[group][row][column], 0)));
    },
    fields() {
      const one = this.here.row !== undefined && this.here.reason === undefined;
      return this.amounts.map((group) => (one ? group[this.here.row][this.here.column] : group.flat().reduce((sum, each) => sum + each, 0)));
    },
    mostOfCells() {
      return this.whole(this.cells.flat(), this.here.row === undefined && this.here.group !== undefined, this.most[0]);
    },
    mostOfFields() {
      return this.whole(this.fields, this.here.row !== undefined && this.here.reason === undefined, this.most[1]);
    },
    signs() { // the least amount that has a sign
      const sizes = this.cells.flat().map(Math.abs).sort((one, other) => other - one);
      const many = Math.max(this.rows.length, this.columns.length) > MOST_SIGNS ? sizes[MOST_SIGNS - 1] : 0;
      return Math.max(LEAST_SIGN * this.mostOfCells, many);
    },
    said() {
      const { row, column, group, reason } = this.here;
      if (reason !== undefined) return `Reason ${reason + 1}: its cell is framed, and its field.`;
      if (row !== undefined) return `Row ${row + 1}, column ${column + 1}: ${this.signed(this.cells[row][column])} ${this.unit}. The fields show this cell alone.`;
      if (group !== undefined) return `${this.groups[group].name}: ${this.signed(this.fields[group])} ${this.unit}. The cells show these edges alone.`;
      return "Point at a cell, a field or a sentence to see what belongs to it; a click keeps it.";
    },
  },
  methods: {
    whole(values, part, most) {
      return part ? Math.max(...values.map(Math.abs)) || 1 : most;
    },
    colour(amount, most) {
      return `rgb(${amount > 0 ? "230 97 1" : "33 102 172"} / ${((100 * STRONGEST * Math.min(Math.abs(amount), most)) / most).toFixed(1)}%)`;
    },
    signed(amount) {
      const digits = Math.min(Math.max(2 - Math.floor(Math.log10(Math.max(this.most[1], 1e-6))), 0), 6);
      return `${amount < 0 ? "−" : "+"}${Math.abs(amount).toFixed(digits)}`;
    },
    place([low, high], [begin, end]) {
      return { top: 100 * low + "%", height: 100 * (high - low) + "%", left: 100 * begin + "%", width: 100 * (end - begin) + "%" };
    },
    point(what) { this.at = what; },
    keep(what) { this.kept = JSON.stringify(this.kept) === JSON.stringify(what) ? null : what; },
    numbers(test) {
      return this.reasons.map((each, place) => (test(each) ? place + 1 : 0)).filter(Boolean).join(", ");
    },
    key(event, row, column) {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const to = [Math.min(Math.max(row + step[0], 0), this.rows.length - 1), Math.min(Math.max(column + step[1], 0), this.columns.length - 1)];
      this.$refs.cells.querySelector(`[data-cell="${to}"]`).focus();
    },
  },
  template: `
    <div class="reasons" @keydown.esc="at = kept = null">
      <section class="card" aria-label="Reasons by position">
        <h2>Where</h2>
        <div class="segments-row picture-choice" role="group" aria-label="Picture below the cells">
          <button type="button" class="quiet" v-for="(each, place) in pictures" :aria-pressed="String(place === picture)" @click="picture = place">{{ each.name }}</button>
        </div>
        <div class="reason-frame" :style="{ '--wide': width / height }"><div class="reason-map" :style="{ aspectRatio: width + ' / ' + height }" ref="cells" @pointerleave="point(null)">
          <img :src="pictures[picture].url" :alt="pictures[picture].name" draggable="false">
          <template v-for="(row, y) in cells"><button type="button" class="reason-cell" v-for="(amount, x) in row" :data-cell="y + ',' + x"
            :tabindex="y || x ? -1 : 0" :style="{ ...place(rows[y], columns[x]), background: colour(amount, mostOfCells) }"
            :class="{ linked: here.row === y && here.column === x }" :aria-label="'Row ' + (y + 1) + ', column ' + (x + 1) + ': ' + signed(amount) + ' ' + unit"
            @pointerenter="point({ row: y, column: x })" @focus="point({ row: y, column: x })" @blur="point(null)" @click="keep({ row: y, column: x })" @keydown="key($event, y, x)">
            <span v-if="Math.abs(amount) >= signs && amount">{{ amount > 0 ? "+" : "−" }}</span>
            <small v-if="numbers((each) => each.row === y && each.column === x)">{{ numbers((each) => each.row === y && each.column === x) }}</small></button></template>
        </div>
        <p class="note sides"><span>◂ image left</span><span>image right ▸</span></p>
        <div class="reason-scale" aria-hidden="true"></div>
        <p class="note sides"><span>−{{ signed(mostOfCells).slice(1) }}</span><span>0</span><span>{{ signed(mostOfCells) }} {{ unit }}</span></p></div>
      </section>
      <div class="stack">
        <section class="card" aria-label="Reasons by band">
          <h2>By which edges</h2>
          <div class="reason-fields" v-if="groups.length" :style="{ '--rows': scales.length }" @pointerleave="point(null)">
            <span v-for="(name, place) in directions" class="note" :style="{ gridRow: 1, gridColumn: place + 2 }">{{ name }}</span>
            <span v-for="(name, place) in scales" class="note scale" :style="{ gridRow: place + 2, gridColumn: 1 }">{{ name }}</span>
            <button type="button" class="reason-field" v-for="(group, place) in groups" :class="{ linked: here.group === place }"
              :style="{ gridRow: group.y + 2, gridColumn: (group.x + 2) + ' / span ' + group.wide, background: colour(fields[place], mostOfFields) }"
              :aria-label="group.name + ': ' + signed(fields[place]) + ' ' + unit"
              @pointerenter="point({ group: place })" @focus="point({ group: place })" @blur="point(null)" @click="keep({ group: place })">{{ signed(fields[place]) }}
              <small v-if="numbers((each) => each.group === place)">{{ numbers((each) => each.group === place) }}</small></button>
          </div>
          <p v-else class="note">The model was asked about places alone.</p>
          <div class="reason-scale" aria-hidden="true"></div>
          <p class="note sides"><span>−{{ signed(mostOfFields).slice(1) }}</span><span>0</span><span>{{ signed(mostOfFields) }} {{ unit }}</span></p>
          <p class="note" role="status">{{ said }}</p>
        </section>
        <section class="card" aria-label="Reasons in words">
          <h2>In words</h2>
          <ol class="plain-list" v-if="reasons.length"><li v-for="(each, place) in reasons"><button type="button" class="reason-words"
            :class="{ linked: here.reason === place || (here.row === each.row && here.column === each.column && here.row !== undefined && here.reason === undefined) || (here.group === each.group && here.row === undefined && here.group !== undefined) }"
            @pointerenter="point({ reason: place })" @pointerleave="point(null)" @focus="point({ reason: place })" @blur="point(null)" @click="keep({ reason: place })">{{ each.words }}</button></li></ol>
          <slot></slot>
        </section>
      </div>
    </div>`,
};
