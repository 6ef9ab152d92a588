// Small pictures of frames or images in a row; one is chosen. Those in sight are loaded two at a time, so that
// slow ones do not keep the large image waiting. Props: items ([{url, label, title, number}]), chosen. Emits "pick".
const AT_ONCE = 2, WIDE = 52;

export default {
  props: { items: Array, chosen: Number },
  emits: ["pick"],
  data() {
    return { loaded: {}, busy: [], from: 0, to: 20 };
  },
  watch: {
    items(now, before) {
      const kept = new Set(now.map((each) => each.url));
      this.loaded = Object.fromEntries(Object.entries(this.loaded).filter(([url]) => kept.has(url)));
      this.busy = this.busy.filter((url) => kept.has(url));
      this.$nextTick(() => { this.centre(); this.look(); });
    },
    chosen() { this.$nextTick(() => this.centre()); },
  },
  mounted() {
    this.watcher = new ResizeObserver(() => this.look());
    this.watcher.observe(this.$el);
    this.centre();
    this.look();
  },
  beforeUnmount() { this.watcher.disconnect(); },
  methods: {
    centre() {
      this.$el.scrollLeft = this.chosen * WIDE - (this.$el.clientWidth - WIDE) / 2;
    },
    look() {
      this.from = Math.floor(this.$el.scrollLeft / WIDE);
      this.to = this.from + Math.ceil(this.$el.clientWidth / WIDE) + 1;
      this.next();
    },
    next() {
      for (const { url } of this.items.slice(this.from, this.to)) {
        if (this.busy.length >= AT_ONCE) return;
        if (!this.loaded[url] && !this.busy.includes(url)) this.busy.push(url);
      }
    },
    done(url) {
      this.loaded[url] = true;
      this.busy = this.busy.filter((each) => each !== url);
      this.next();
    },
  },
  template: `
    <ul class="strip" aria-label="Frames or images of the series" @scroll.passive="look">
      <li v-for="(each, place) in items" :key="each.url"><button type="button" class="strip-thumb" :aria-label="each.label" :title="each.title"
        :aria-pressed="String(place === chosen)" @click="$emit('pick', place)"><img v-if="loaded[each.url] || busy.includes(each.url)" alt="" draggable="false"
          :src="each.url" @load="done(each.url)" @error="done(each.url)"><i v-else></i><span>{{ each.number }}</span></button></li>
    </ul>`,
};
