// Markup that the server made and escaped. Emits "pick" with data-pick of what is clicked, or of what
// has the focus when Enter or Space is pressed; an event about what has the attribute alone.
export default {
  props: { content: String },
  emits: ["pick"],
  mounted() { this.$el.innerHTML = this.content; },
  watch: {
    content(markup) { this.$el.innerHTML = markup; },
  },
  methods: {
    pick(event) {
      const picked = event.target.closest?.("[data-pick]");
      if (picked) this.$emit("pick", picked.dataset.pick);
    },
    key(event) {
      if (event.key !== "Enter" && event.key !== " ") return;
      if (event.target.dataset?.pick === undefined) return;
      event.preventDefault();
      this.$emit("pick", event.target.dataset.pick);
    },
  },
  template: `<div @click="pick" @keydown="key"></div>`,
};
