// Choose a file, or drop it anywhere on the page; it is sent as the body of one request, without its name.
// A newer file replaces one that is still on its way. Props: url, most (bytes), subject (grows with
// every image that is shown, after which no message is left), solid (a volume: one file, or the slices of a
// series, each behind its length of 8 bytes). Emits "took" when the server has it.
export default {
  props: { url: String, most: Number, subject: Number, solid: Boolean },
  computed: { noun() { return this.solid ? "volume" : "image"; } },
  emits: ["took"],
  data() {
    return { message: "", bad: false, busy: false, over: false, share: 0 };
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
      if (event.dataTransfer?.files?.length) this.send([...event.dataTransfer.files]);
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
  watch: {
    subject() { if (!this.busy) this.say("", false); },
  },
  methods: {
    pick(event) {
      const files = [...event.target.files];
      event.target.value = "";
      if (files.length) this.send(files);
    },
    send(chosen) {
      this.cancel();
      const files = this.solid ? chosen : chosen.slice(0, 1), size = files.reduce((sum, file) => sum + file.size, 0);
      if (size > this.most) {
        return this.say(`This file has ${Math.round(size / 2 ** 20).toLocaleString("en")}\u00a0MiB; the studio takes ${Math.round(this.most / 2 ** 20)}\u00a0MiB at most.`, true);
      }
      const request = new XMLHttpRequest();
      this.request = request;
      this.busy = true;
      this.share = 0;
      this.say(`Sending the ${this.noun} …`, false);
      request.upload.onprogress = (event) => {
        if (this.request !== request || !event.lengthComputable) return;
        this.share = event.loaded / event.total;
        this.say(this.share < 1 ? `Sending the ${this.noun}: ${Math.floor(100 * this.share)}\u00a0%` : `Reading the ${this.noun} …`, false);
      };
      request.onload = () => this.end(request, () => {
        const about = JSON.parse(request.responseText);
        if (request.status === 200) this.$emit("took");
        return request.status === 200 ? "" : about.reason;
      });
      request.onerror = () => this.end(request, () => `The ${this.noun} did not arrive: the studio refused it, or was stopped.`);
      request.open("POST", this.url);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(this.solid ? new Blob(files.flatMap((file) => [new BigUint64Array([BigInt(file.size)]), file])) : files[0]);
    },
    end(request, reason) {
      if (this.request !== request) return; // a newer one, or none, is wanted
      this.request = null;
      this.busy = false;
      let words;
      try { words = reason(); } catch { words = "The studio gave an answer that cannot be read; reload the page."; }
      this.say(words, words !== "");
    },
    cancel() {
      const request = this.request;
      this.request = null;
      this.busy = false;
      if (request) request.abort();
      this.say("", false);
    },
    say(message, bad) {
      this.message = message;
      this.bad = bad;
    },
  },
  template: `
    <div class="drop">
      <label class="button" :class="{ busy }">Open {{ solid ? 'a volume' : 'an image' }} …
        <input type="file" class="hidden-input" aria-describedby="drop-hint" :multiple="solid" @change="pick">
      </label>
      <span id="drop-hint" class="hint">{{ solid ? "NIfTI, or all files of a DICOM series" : "PNG, JPEG, TIFF or DICOM" }}; or drop it anywhere. It stays in memory.</span>
      <progress v-if="busy" class="progress" :value="share || undefined" max="1" aria-label="Upload"></progress>
      <button v-if="busy" type="button" class="quiet" @click="cancel">Cancel</button>
      <p class="message" :class="{ bad }" role="alert">{{ message }}</p>
      <div v-if="over" class="dropping" aria-hidden="true"><span>Drop the {{ noun }} to explore it</span></div>
    </div>`,
};
