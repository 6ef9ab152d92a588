// Markup that the server made and escaped. Emits "pick" with data-pick of what is clicked, or of what
// has the focus when Enter or Space is pressed; an event about what has the attribute alone.
export default {
  props: { content: String, selected: String },
  emits: ["pick", "threshold"],
  mounted() { this.put(this.content); },
  watch: {
    content(markup) { this.put(markup); },
    selected() { this.mark(); },
  },
  methods: {
    put(markup) {
      this.$el.innerHTML = markup;
      this.mark();
      if (this.$el.classList.contains("listed")) this.$el.querySelectorAll("table").forEach((table) => this.arm(table));
    },
    // a table of class "listed" sorts by its columns, filters by words, and its rows are saved as CSV
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
        const text = [...table.rows].filter((row) => !row.hidden).map((row) => [...row.cells].map(quoted).join(",")).join("\r\n");
        const link = document.createElement("a");
        link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(text);
        link.download = "table.csv";
        link.click();
      });
      const filter = document.createElement("input");
      filter.type = "search";
      filter.className = "select table-filter";
      filter.placeholder = "Filter rows";
      filter.setAttribute("aria-label", "Filter rows");
      filter.addEventListener("input", () => {
        const wanted = filter.value.toLowerCase().split(/\s+/);
        for (const row of table.tBodies[0].rows) {
          const text = row.textContent.toLowerCase();
          row.hidden = !wanted.every((word) => text.includes(word));
        }
      });
      const tools = document.createElement("div");
      tools.className = "table-tools";
      tools.append(filter, save);
      table.parentElement.before(tools);
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
      if (picked) this.choose(picked);
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
      this.choose(event.target);
    },
    choose(picked) {
      this.chosen = picked.dataset.pick;
      this.mark();
      this.$emit("pick", this.chosen);
    },
    // what is chosen looks chosen, also after the figure is drawn again
    mark() {
      const wanted = this.selected || this.chosen;
      this.$el.querySelectorAll("[data-pick]").forEach((each) => {
        each.classList.toggle("here", each.dataset.pick === wanted);
        each.setAttribute("aria-pressed", String(each.dataset.pick === wanted));
      });
    },
  },
  template: `<div @click="pick" @keydown="key" @pointerdown="grab"></div>`,
};
