/**
 * @file The presentation: slides of the answer on the screen in a dialog that fills the window. Python makes the markup
 * of every slide and says which slides are before and after it; here are keys, pictures, maps and the address.
 */
import { leaveSlides, showSlide, storedSearch } from "./addresses.js";
import { loadPicture } from "./pictures.js";
import { address, answerOf, askedFields, make, placeBox, stage } from "./tools.js";

const FIRST = 1;
const LAST = 3;
const MAX_STORED = 48;
/** Slides that are loaded ahead: the second one of a question, and the first one of the next story. */
const AHEAD = 2;
const STEPS = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
/** Least width of a crop beside its page, over the window's height; its height over that of the page and its width. */
const MIN_CROP = 0.25;
const CROP_SHAPE = [0.6, 0.75];
/** Height of the window, at least, whose crops have print of the size that they have on a card; it grows with it. */
const CARD_HEIGHT = 540;
const NOT_READY = "There is no answer to present yet. Search first.";

/** Answers of the server by key, those under way included. Error sentences are not stored. */
class Answers {
  #stored = new Map();

  recall(key, call) {
    if (!this.#stored.has(key)) {
      const answer = answerOf(call);
      this.#stored.set(key, answer);
      answer.then(({ sentence }) => sentence && this.#stored.get(key) === answer && this.#stored.delete(key));
      if (this.#stored.size > MAX_STORED) this.#stored.delete(this.#stored.keys().next().value);
    }
    return this.#stored.get(key);
  }

  clear() {
    this.#stored.clear();
  }
}

/** The number of the slide in the address, or 0. */
function linkedSlide() {
  const number = Number.parseInt(address.read().get("present") ?? "", 10);
  return Number.isNaN(number) ? 0 : Math.min(Math.max(number, FIRST), LAST);
}

class Slides {
  #server;
  #answers = new Answers();
  /** The request of the slide on the screen, `{asked, slide}`, and its answer. */
  #position = null;
  #answer = null;
  /** Steps that were asked for and not yet made. */
  #steps = 0;
  #isStepping = false;
  /** Changes with every slide, so that a picture which arrives late is dropped. */
  #turn = 0;
  /** The slide to open as soon as there is an answer; 0 if none is waiting. */
  #waiting = 0;
  /** Whether the next slide is a new entry of the history. */
  #isNewEntry = false;

  constructor() {
    const button = (action, label, text) =>
      make("button", { type: "button", "data-slides": action, "aria-label": label, title: label }, text);
    this.view = make("div", { class: "slides-view", tabindex: "-1" });
    this.counter = make("output", { class: "slides-at", "aria-label": "Slide" });
    this.terms = make("button", { type: "button", "data-slides": "terms", "aria-pressed": "false" });
    this.terms.textContent = "In technical terms";
    this.full = make("button", { type: "button", "data-slides": "full" }, "Full screen");
    const leave = make("button", { type: "button", "data-slides": "leave" }, "Leave ", make("kbd", {}, "Esc"));
    this.bar = make(
      "div",
      { class: "slides-bar", role: "group", "aria-label": "Slides" },
      button("previous", "Previous slide", "←"),
      this.counter,
      button("next", "Next slide", "→"),
      make("span", { class: "slides-gap" }),
      this.terms,
      this.full,
      leave,
    );
    this.deck = make("div", { class: "slides-deck" }, this.view, this.bar);
    this.dialog = make("dialog", { class: "slides", "aria-label": "Slides" }, this.deck);
    this.full.hidden = !document.fullscreenEnabled || !this.deck.requestFullscreen;
    this.#listen();
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** Use the server functions of the mounted results, and open the slide that the address names. */
  connect(server) {
    const isFirst = !this.#server;
    this.#server = server;
    if (isFirst) this.#openLinked();
  }

  /** Open the slides on the question that the screen answers. */
  open() {
    this.#isNewEntry = true;
    this.#waiting = FIRST;
    this.start(askedFields());
  }

  /** Open the slide of the address. A reload, Back and Forward know its question; another link waits for the answer. */
  #openLinked() {
    this.#waiting = linkedSlide();
    const isLinked = document.documentElement.classList.contains("is-linked"); // the page came with another answer
    this.start(storedSearch() || (isLinked ? "" : askedFields()));
  }

  /** Show the waiting slide, or say why it cannot be shown yet. */
  start(asked) {
    if (!this.#waiting) return;
    if (!this.isOpen) {
      if (!this.dialog.isConnected) stage().append(this.dialog);
      this.dialog.showModal();
      document.documentElement.classList.add("is-viewing"); // the page behind has no scrollbar then
      this.view.focus();
    }
    if (!asked) {
      const title = document.querySelector("#results h2")?.textContent;
      this.#showSentence(title ? `${title}.` : NOT_READY, false);
      this.#updateBar();
      return;
    }
    const position = { asked: JSON.parse(asked), slide: this.#waiting };
    this.#waiting = 0;
    this.#show(position);
  }

  /** An answer arrived behind the slides. Documents may have been added or deleted, so nothing loaded before is kept. */
  onAnswer() {
    this.#answers.clear();
    if (this.#waiting) this.start(askedFields());
    else if (this.isOpen) this.#writeAddress();
  }

  /** The address changed by Back or Forward. */
  onHistory() {
    const slide = linkedSlide();
    if (!slide && this.isOpen) this.dialog.close("back");
    if (slide && !this.isOpen && this.#server) this.#openLinked();
  }

  /** Make the steps that were asked for, one by one: which slide is next is known when one has arrived. */
  async step(by) {
    this.#steps += by;
    if (this.#isStepping) return;
    this.#isStepping = true;
    while (this.#steps && this.isOpen) {
      const direction = Math.sign(this.#steps);
      const next = this.#answer?.[direction > 0 ? "next" : "previous"];
      this.#steps = next ? this.#steps - direction : 0;
      if (next) await this.#show(next);
    }
    this.#isStepping = false;
    this.#steps = 0;
  }

  async #show(position) {
    const turn = ++this.#turn;
    // After a failure, the slide before is still the last one that was shown.
    const last = this.#answer?.count ? this.#position : this.#answer?.previous;
    const before = last === position ? null : last;
    this.view.ariaBusy = "true";
    const answer = await this.#load(position);
    if (turn !== this.#turn || !this.isOpen) return;
    this.view.ariaBusy = "false";
    this.#position = position;
    // Without an answer of the server, only the slide that was left is known.
    this.#answer = answer.count ? answer : { ...answer, previous: before };
    this.#updateBar();
    this.#writeAddress();
    if (answer.sentence) {
      this.#showSentence(answer.sentence, true);
      return;
    }
    this.view.innerHTML = answer.markup;
    this.view.scrollTop = 0;
    this.#fillCrops();
    this.#fillPictures(position, turn).then(() => turn === this.#turn && this.#loadAhead(answer.next, AHEAD));
  }

  #load(position) {
    return this.#answers.recall(JSON.stringify(position), () => this.#server.slide(position));
  }

  #loadMap(asked, page) {
    const question = { asked, page, view: "winners" };
    return this.#answers.recall(JSON.stringify(question), () => this.#server.overlay(question));
  }

  async #loadAhead(position, count) {
    if (!position || !count || !this.isOpen) return;
    const answer = await this.#load(position);
    const parsed = new DOMParser().parseFromString(answer.markup ?? "", "text/html");
    const pages = [...parsed.querySelectorAll("[data-slide-page]")].map((node) => node.dataset.slidePage);
    await Promise.all(pages.flatMap((page) => [loadPicture(this.#server, page), this.#loadMap(position.asked, page)]));
    await this.#loadAhead(answer.next, count - 1);
  }

  #fillPictures({ asked }, turn) {
    const places = [...this.view.querySelectorAll("[data-slide-page]")];
    return Promise.all(places.map((place) => this.#fillPicture(place, asked, turn)));
  }

  /** Show a page, then its map over it. A sentence takes the place of a page that is gone. */
  async #fillPicture(place, asked, turn) {
    const page = place.dataset.slidePage;
    const map = this.#loadMap(asked, page);
    const { picture, sentence } = await loadPicture(this.#server, page);
    if (turn !== this.#turn) return;
    const image = place.querySelector(".slide-image");
    if (sentence) {
      image.remove();
      place.querySelector(".slide-trouble").textContent = sentence;
      return;
    }
    image.src = picture;
    this.#drawMap(place, await map, turn);
  }

  #drawMap(place, map, turn) {
    if (turn !== this.#turn) return;
    const note = place.closest(".slide-panel").querySelector(".slide-map-note");
    if (!map.picture) {
      note.textContent = map.sentence ? `No map: ${map.sentence}` : "No clear place";
      note.title = map.note ?? "";
      return;
    }
    // The map is multiplied with the page, so the print under it stays dark. A faint copy shows it on dark pages.
    const layer = (name, alt) =>
      make("img", { class: `slide-layer ${name}`, src: map.picture, alt, draggable: "false" });
    const outline = make("span", { class: "slide-outline" });
    placeBox(outline, map.outline ?? [0, 0, 0, 0]);
    outline.hidden = !map.outline;
    place.append(layer("is-map", map.alt), layer("is-copy", ""), outline);
  }

  /** Show the evidence of each page, if it has a clear place: beside the page if there is room, on a phone below it. */
  async #fillCrops() {
    const turn = this.#turn;
    const places = [...this.view.querySelectorAll(".slide-crop")].filter(placeCrop);
    const empty = places.filter((place) => !place.firstChild);
    if (!empty.length) return;
    const { asked } = this.#position;
    const scale = Math.max(1, innerHeight / CARD_HEIGHT);
    const sizeOf = (place) => [place.clientWidth / scale, place.clientHeight / scale];
    const pages = empty.map((place) => [place.previousElementSibling.dataset.slidePage, ...sizeOf(place)]);
    const question = { asked, pages };
    const { crops } = await this.#answers.recall(JSON.stringify(question), () => this.#server.crops(question));
    if (turn !== this.#turn) return;
    empty.forEach((place, at) => {
      place.innerHTML = crops?.[at] ?? "";
      place.removeAttribute("aria-busy");
      if (!place.querySelector(".crop-frame")) place.remove(); // the note on the map says that there is no clear place
    });
  }

  /** Show a sentence in place of a slide, with a button that tries again. */
  #showSentence(text, canRetry) {
    const retry = make("button", { type: "button", "data-slides": "retry" }, "Try again");
    const said = make("p", { class: "slide-sentence", role: "status" }, text);
    this.view.replaceChildren(make("section", { class: "slide slide-error" }, said, ...(canRetry ? [retry] : [])));
  }

  #updateBar() {
    const answer = this.#answer;
    const at = answer?.count ? `${answer.at} of ${answer.count}` : "";
    if (this.counter.textContent !== at) this.counter.textContent = at;
    for (const [action, step] of [
      ["previous", answer?.previous],
      ["next", answer?.next],
    ]) {
      // A disabled button loses the focus, and the keys with it.
      this.bar.querySelector(`[data-slides="${action}"]`).setAttribute("aria-disabled", String(!step));
    }
  }

  #writeAddress() {
    const { link, fields } = this.#answer ?? {};
    if (!this.#position || link === undefined) return;
    showSlide(this.#position.slide, link, fields, this.#isNewEntry);
    this.#isNewEntry = false;
  }

  #listen() {
    const actions = {
      previous: () => this.step(-1),
      next: () => this.step(1),
      leave: () => this.dialog.close(),
      retry: () => this.#show(this.#position),
      terms: () => this.#toggleTerms(),
      full: () => this.#toggleFullScreen(),
    };
    this.dialog.addEventListener("click", (event) => {
      actions[event.target.closest("[data-slides]")?.dataset.slides]?.();
      // After a click with the mouse, the space bar is for the next slide and not for the button.
      if (event.detail && this.isOpen) this.view.focus({ preventScroll: true });
    });
    this.dialog.addEventListener("keydown", (event) => this.#press(event));
    this.dialog.addEventListener("close", () => this.#onClose());
    new ResizeObserver(() => this.isOpen && this.#position && this.#fillCrops()).observe(this.view);
    document.addEventListener("fullscreenchange", () => {
      this.full.textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
    });
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isSpace = event.key === " " && !event.target.closest("button");
    const by = isSpace ? (event.shiftKey ? -1 : 1) : STEPS[event.key];
    // A slide that is longer than a phone's screen scrolls by its own keys.
    if (!by || (["ArrowUp", "ArrowDown"].includes(event.key) && this.#scrolls())) return;
    event.preventDefault();
    this.step(by);
  }

  #scrolls() {
    return this.view.scrollHeight > this.view.clientHeight + 1;
  }

  #toggleTerms() {
    const on = this.dialog.classList.toggle("has-terms");
    this.terms.setAttribute("aria-pressed", String(on));
  }

  async #toggleFullScreen() {
    try {
      await (document.fullscreenElement ? document.exitFullscreen() : this.deck.requestFullscreen());
    } catch {
      this.full.hidden = true; // a frame around the page may forbid it
    }
  }

  /** Go back to Compare, which answers the question of the last slide. */
  #onClose() {
    const isBack = this.dialog.returnValue === "back";
    const { text } = this.#answer ?? {};
    this.dialog.returnValue = "";
    this.#turn += 1;
    this.#isNewEntry = false;
    this.#waiting = this.#steps = 0;
    this.#position = this.#answer = null;
    this.view.replaceChildren();
    document.documentElement.classList.remove("is-viewing");
    if (document.fullscreenElement) document.exitFullscreen();
    document.querySelector('[data-share="present"]')?.focus({ preventScroll: true });
    if (isBack) return; // the address already names what to show
    if (linkedSlide()) leaveSlides();
    const asked = askedFields();
    if (!asked || !text || JSON.parse(asked).text.trim() === text) return;
    const chips = [...document.querySelectorAll("#examples .chip")];
    chips.find((chip) => chip.dataset.query === text)?.click();
  }
}

/** Size the place of a crop, and return whether it has room. */
function placeCrop(place) {
  const shown = place.parentElement;
  place.hidden = false;
  if (getComputedStyle(shown).flexWrap === "wrap") {
    place.removeAttribute("style");
    return true;
  }
  const { offsetWidth, offsetHeight } = place.previousElementSibling;
  const room = shown.clientWidth - offsetWidth - Number.parseFloat(getComputedStyle(shown).columnGap);
  const [ofPage, ofWidth] = CROP_SHAPE;
  place.hidden = room < MIN_CROP * innerHeight;
  place.style.width = `${room}px`;
  place.style.height = `${Math.min(offsetHeight * ofPage, room * ofWidth)}px`;
  if (place.hidden) place.removeAttribute("aria-busy");
  return !place.hidden;
}

let slides;

/** Offer slides of the results, whose component has these server functions. */
export function offerSlides(server) {
  slides ??= new Slides();
  slides.connect(server);
}

document.addEventListener("click", (event) => {
  if (event.target.closest?.('[data-share="present"]')) slides?.open();
});
document.addEventListener("answered", () => slides?.onAnswer());
addEventListener("popstate", () => slides?.onHistory());
