// Choose a file, or drop it anywhere on the page; it is sent as the body of one request, without its name.
// Props: url, most (bytes). Emits "took" when the server has it.
export default {
  props: { url: String, most: Number },
  emits: ["took"],
  data() {
    return { message: "", bad: false, busy: false, over: false };
  },
  mounted() {
    this.onOver = (event) => {
      if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
      event.preventDefault();
      this.over = true;
    };
    this.onLeave = (event) => { if (!event.relatedTarget) this.over = false; };
    this.onDrop = (event) => {
      event.preventDefault();
      this.over = false;
      if (event.dataTransfer?.files?.length) this.send(event.dataTransfer.files[0]);
    };
    window.addEventListener("dragover", this.onOver);
    window.addEventListener("dragleave", this.onLeave);
    window.addEventListener("drop", this.onDrop);
  },
  beforeUnmount() {
    window.removeEventListener("dragover", this.onOver);
    window.removeEventListener("dragleave", this.onLeave);
    window.removeEventListener("drop", this.onDrop);
  },
  methods: {
    pick(event) {
      const file = event.target.files[0];
      event.target.value = "";
      if (file) this.send(file);
    },
    async send(file) {
      if (this.busy) return;
      if (file.size > this.most) {
        return this.say(`This file has ${Math.round(file.size / 2 ** 20).toLocaleString("en")} MiB; the studio takes ${Math.round(this.most / 2 ** 20)} MiB at most.`, true);
      }
      this.busy = true;
      this.say("Reading the image …", false);
      try {
        const answer = await fetch(this.url, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
        const about = await answer.json();
        if (answer.ok) { this.say("", false); this.$emit("took"); }
        else this.say(about.reason, true);
      } catch {
        this.say("The image did not arrive: the studio refused it, or was stopped.", true);
      }
      this.busy = false;
    },
    say(message, bad) {
      this.message = message;
      this.bad = bad;
    },
  },
  template: `
    <div class="drop">
      <label class="button" :class="{ busy }">Open an image …
        <input type="file" class="hidden-input" aria-describedby="drop-hint" @change="pick">
      </label>
      <span id="drop-hint" class="hint">PNG, JPEG, TIFF or DICOM; or drop it anywhere. It stays in memory.</span>
      <p class="message" :class="{ bad }" role="alert">{{ message }}</p>
      <div v-if="over" class="dropping" aria-hidden="true"><span>Drop the image to explore it</span></div>
    </div>`,
};
