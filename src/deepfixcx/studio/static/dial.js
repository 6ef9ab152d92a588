// A slider over given steps, with a limit: what lies beyond it is grey, and below stands why.
// Props: label, name, steps (numbers, growing), value, limit, reason, hint, words (text of the value),
// exact (also a field for any whole number). Emits "set" with the new value.
const QUIET = 400; // ms after a move in which a value pushed by the server waits: it may answer an older move

export default {
  props: {
    label: String, name: String, steps: Array, value: Number, limit: Number,
    reason: String, hint: String, unit: String, exact: Boolean,
  },
  emits: ["set"],
  data() {
    return { current: this.value, moved: -QUIET };
  },
  computed: {
    index() {
      let nearest = 0;
      this.steps.forEach((step, place) => {
        if (Math.abs(step - this.current) < Math.abs(this.steps[nearest] - this.current)) nearest = place;
      });
      return nearest;
    },
    last() {
      return this.steps.length - 1;
    },
    reach() {
      const fitting = this.steps.filter((step) => step <= this.limit).length - 1;
      return Math.max(0, fitting) / this.last;
    },
  },
  watch: {
    value() {
      clearTimeout(this.late);
      this.late = setTimeout(() => (this.current = this.value), this.moved + QUIET - performance.now());
    },
  },
  methods: {
    slide(event) {
      this.set(this.steps[Number(event.target.value)], event);
    },
    type(event) {
      const number = Math.round(Number(event.target.value));
      if (number >= 1) this.set(number, event);
      else event.target.value = this.current;
    },
    set(wanted, event) {
      this.moved = performance.now();
      const fitting = Math.min(wanted, this.limit);
      if (fitting !== wanted) this.$nextTick(() => (event.target.value = event.target.type === "range" ? this.index : fitting));
      if (fitting === this.current) return;
      clearTimeout(this.late);
      this.current = fitting;
      this.$emit("set", fitting);
    },
  },
  template: `
    <div class="dial">
      <div class="dial-head">
        <label :for="name">{{ label }}</label>
        <input v-if="exact" class="dial-number" type="number" inputmode="numeric" min="1" :max="limit"
          :value="current" :aria-label="label + ', exact'" @change="type">
        <output v-else class="dial-number" :for="name">{{ current }}</output>
      </div>
      <div class="dial-track" :style="{ '--reach': reach, '--whole': reach === 1 ? 1 : 0 }">
        <input type="range" :id="name" min="0" :max="last" step="1" :value="index"
          :aria-valuetext="current + ' ' + unit" :aria-describedby="name + '-why'" @input="slide">
      </div>
      <p class="dial-why" :id="name + '-why'"><span>{{ hint }}</span> <span v-if="reason" class="limit" :class="{ met: current >= limit }">{{ reason }}</span></p>
    </div>`,
};
