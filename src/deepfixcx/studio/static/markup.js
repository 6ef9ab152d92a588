// Markup that the server made and escaped. Emits "pick" with data-pick of what is clicked, or of what
// has the focus when Enter or Space is pressed; an event about what has the attribute alone.
export default {
  props: { content: String },
  emits: ["pick", "threshold"],
  mounted() { this.put(this.content); },
  watch: {
    content(markup) { this.put(markup); },
  },
  methods: {
    put(markup) {
      this.$el.innerHTML = markup;
      if (this.$el.classList.contains("listed")) this.$el.querySelectorAll("table").forEach((table) => this.arm(table));
    },
    // a table of class "listed" sorts by its columns, and its rows can be copied out as CSV
    arm(table) {
      table.querySelectorAll("thead th").forEach((head, column) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = head.textContent;
        head.replaceChildren(button);
        button.addEventListener("click", () => this.sort(table, head, column));
      });
      const save = document.createElement("button");
      save.type = "button";
      save.className = "csv";
      save.textContent = "Save as CSV";
      save.addEventListener("click", () => {
        const quoted = (cell) => `"${cell.textContent.replaceAll('"', '""').replace(/^([=+@-])/, "'$1")}"`;
        const text = [...table.rows].map((row) => [...row.cells].map(quoted).join(",")).join("\r\n");
        const link = document.createElement("a");
        link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(text);
        link.download = "table.csv";
        link.click();
      });
      table.parentElement.after(save);
    },
    sort(table, head, column) {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      const rows = [...body.rows].sort((one, other) => compare(one.cells[column].textContent, other.cells[column].textContent));
      body.append(...(down ? rows.reverse() : rows));
    },
    // the line of class "threshold" of a plot is dragged, or moved by arrow keys
    value(svg, event) {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const { low, high, begin, end } = Object.fromEntries(Object.entries(svg.dataset).map(([name, text]) => [name, Number(text)]));
      return Math.min(Math.max(low + ((at.x - begin) / (end - begin)) * (high - low), 0.5), 1);
    },
    grab(event) {
      const line = event.target.closest?.(".threshold");
      if (!line) return;
      event.preventDefault();
      const svg = line.ownerSVGElement;
      const from = this.value(svg, event);
      let at = from;
      const move = (moved) => {
        at = this.value(svg, moved);
        const { low, high, begin, end } = svg.dataset;
        line.setAttribute("transform", `translate(${((at - from) / (high - low)) * (end - begin)})`);
      };
      const up = () => {
        window.removeEventListener("pointermove", move);
        this.$emit("threshold", Math.round(at * 1000) / 1000);
      };
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", up, { once: true });
    },
    pick(event) {
      const picked = event.target.closest?.("[data-pick]");
      if (picked) this.$emit("pick", picked.dataset.pick);
    },
    key(event) {
      const line = event.target.closest?.(".threshold");
      const step = { ArrowLeft: -0.01, ArrowRight: 0.01 }[event.key];
      if (line && step) {
        event.preventDefault();
        const wanted = Number(line.getAttribute("aria-valuenow")) + step;
        this.$emit("threshold", Math.round(Math.min(Math.max(wanted, 0.5), 1) * 1000) / 1000);
        this.$nextTick(() => setTimeout(() => this.$el.querySelector(".threshold")?.focus(), 60));
        return;
      }
      if (event.key !== "Enter" && event.key !== " ") return;
      if (event.target.dataset?.pick === undefined) return;
      event.preventDefault();
      this.$emit("pick", event.target.dataset.pick);
    },
  },
  template: `<div @click="pick" @keydown="key" @pointerdown="grab"></div>`,
};
