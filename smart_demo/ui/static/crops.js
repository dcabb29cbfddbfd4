/**
 * @file The evidence on the cards: the crop of each page, and its winner map over the page's picture on hover or focus.
 *
 * Crops are requested after the ranking is on the screen. Python makes and escapes their markup.
 */
import { SILENT, AnswerCache, answerOf, askedFields, make, pauseBeforeRetry } from "./tools.js";

/** A visitor's own pictures can be fetched for at least this long after their crop was requested. */
const FRESH_MS = 240_000;
/** Age of crops after which the same answer shows new ones: it comes again if documents or the model have changed. */
const SAME_MS = 2_000;
/** Time that a pointer rests on a card before its map is requested: a pointer that only passes requests none. */
const REST_MS = 120;
/** Time after the last change of size that crops of the new size are requested. */
const RESIZE_MS = 200;
/** Height in CSS pixels of the caption below a crop, and steps in which a crop's size changes. */
const CAPTION = 21;
const STEPS = [40, 10];
/** Long side over short side from which a thumbnail shows only the start of its page. */
const LONG_THUMBNAIL = 3.95;

/** Hook of the results: fill the evidence of all cards, now and after each answer, and show maps on hover and focus. */
export function offerEvidence(element, server) {
  const evidence = new Evidence(element, server);
  const maps = new CardMaps(element, server);
  document.addEventListener("answered", () => maps.leave());
  // Gradio may write the markup of one answer again without an event, and changes only the nodes that differ.
  let isScheduled = false;
  new MutationObserver((changes) => {
    if (isScheduled || changes.every(({ target }) => target.closest(".thumb-frame"))) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      evidence.update();
    });
  }).observe(element, { childList: true, subtree: true });
  let timer;
  const onResize = () => {
    clearTimeout(timer);
    timer = setTimeout(() => evidence.update(), RESIZE_MS);
  };
  new ResizeObserver(onResize).observe(element);
  evidence.update();
}

// ---- crops ----

/** What decides the crops of an answer. The weights do not, so ranking again requests no crop again. */
function cropsDependOn(asked) {
  const { text, picture, scope, counted } = JSON.parse(asked);
  return JSON.stringify([text, picture, scope, counted]);
}

/** Return width and height in CSS pixels of the crop in a place on a card. */
function sizeOf(place) {
  const size = [place.clientWidth, place.clientHeight - CAPTION];
  return size.map((side, axis) => Math.max(STEPS[axis], side - (side % STEPS[axis])));
}

/** Return the markup of a place whose crop could not be had. */
function failure(sentence) {
  return make("span", { class: "crop is-none" }, make("span", { class: "crop-caption" }, sentence)).outerHTML;
}

class Evidence {
  #element;
  #server;
  /** The fields of the last answer, as JSON. */
  #asked = "";
  /** What decides the stored crops. */
  #query = "";
  /** Markup and time of arrival by key. */
  #crops = new Map();
  /** Key of the crop that a place shows. */
  #shown = new WeakMap();
  /** Keys of crops that were requested and have not arrived. */
  #pending = new Set();

  constructor(element, server) {
    this.#element = element;
    this.#server = server;
  }

  /** Fill the cards of the answer on the screen, from memory or from the server. */
  update() {
    const asked = askedFields();
    const places = [...this.#element.querySelectorAll(".evidence[data-page]")];
    if (!asked || !places.length) return;
    const query = asked === this.#asked ? this.#query : cropsDependOn(asked);
    if (query !== this.#query) {
      this.#crops = new Map();
      this.#pending = new Set();
      for (const place of places) place.replaceChildren();
    } else if (asked === this.#asked && places.every((place) => !place.firstChild)) {
      this.#discardOlderThan(SAME_MS);
    }
    this.#discardOlderThan(FRESH_MS);
    this.#asked = asked;
    this.#query = query;
    const lacking = this.#fill(this.#lacking(places));
    // One page has one size in both columns. If it has not, because a column is narrower, the other one is next.
    const pages = new Map();
    for (const { key, page } of lacking) if (!this.#pending.has(key)) pages.set(page[0], page);
    if (!pages.size) return;
    for (const page of pages.values()) this.#pending.add(page.join(" "));
    // After the frame that shows the ranking.
    requestAnimationFrame(() => setTimeout(() => this.#request(asked, [...pages.values()])));
  }

  #discardOlderThan(age) {
    const oldest = performance.now() - age;
    for (const [page, { time }] of this.#crops) if (time < oldest) this.#crops.delete(page);
  }

  async #request(asked, pages) {
    const [crops, pending] = [this.#crops, this.#pending];
    if (this.#isStale(crops)) return;
    const call = () => this.#server.crops({ asked: JSON.parse(asked), pages });
    let answer = await answerOf(call);
    if (!answer.crops) {
      await pauseBeforeRetry();
      if (this.#isStale(crops)) return;
      answer = await answerOf(call);
    }
    if (this.#isStale(crops)) return;
    const time = performance.now();
    for (const [index, page] of pages.entries()) {
      const key = page.join(" ");
      pending.delete(key);
      if (answer.crops) crops.set(key, { markup: answer.crops[index], time });
      // All fail for one reason, which is said once. The next ranking after a moment tries again.
      else
        crops.set(key, { markup: failure(index ? "" : (answer.sentence ?? SILENT)), time: time - FRESH_MS + SAME_MS });
    }
    this.update();
  }

  /** Return whether another query was answered since these crops were begun. */
  #isStale = (crops) => crops !== this.#crops || !this.#element.isConnected;

  /** Fill those places whose crop is in memory, and return the others. */
  #fill(lacking) {
    for (const { place, key } of lacking) {
      if (!this.#crops.has(key)) continue;
      place.innerHTML = this.#crops.get(key).markup;
      this.#shown.set(place, key);
    }
    return lacking.filter(({ key }) => !this.#crops.has(key));
  }

  /** Return the visible places without the evidence of their page in their size, each with its page and its key. */
  #lacking(places) {
    return places
      .filter((place) => place.clientWidth)
      .map((place) => ({ place, page: [place.dataset.page, ...sizeOf(place)] }))
      .map(({ place, page }) => ({ place, page, key: page.join(" ") }))
      .filter(({ place, key }) => !place.firstChild || this.#shown.get(place) !== key);
  }
}

// ---- winner maps over the cards ----

class CardMaps {
  #element;
  #server;
  #answers = new AnswerCache(48).forgetOnAnswer();
  #page = "";
  #timer;

  constructor(element, server) {
    this.#element = element;
    this.#server = server;
    const cardOf = (node) => node?.closest?.(".card");
    element.addEventListener("pointerover", (event) => {
      const card = cardOf(event.target);
      if (card && event.pointerType !== "touch") this.#enter(card, REST_MS);
    });
    element.addEventListener("pointerout", (event) => {
      if (cardOf(event.target) !== cardOf(event.relatedTarget)) this.#leaveUnlessFocused();
    });
    element.addEventListener("focusin", (event) => {
      const card = cardOf(event.target);
      if (card?.matches(":focus-visible")) this.#enter(card, 0);
    });
    element.addEventListener("focusout", () => this.leave());
  }

  /** Remove the map. */
  leave() {
    clearTimeout(this.#timer);
    this.#page = "";
    for (const map of this.#element.querySelectorAll(".card-map")) map.remove();
  }

  #leaveUnlessFocused() {
    this.leave();
    const focused = this.#element.querySelector(".card:focus-visible");
    if (focused) this.#enter(focused, 0);
  }

  #enter(card, rest) {
    const { page } = card.dataset;
    if (page === this.#page) return;
    this.leave();
    this.#page = page;
    this.#timer = setTimeout(() => this.#show(page), rest);
  }

  async #show(page) {
    const asked = askedFields();
    if (!asked) return;
    const question = { asked: JSON.parse(asked), page, view: "winners" };
    const answer = await this.#answers.recall(`${page} ${asked}`, () => this.#server.overlay(question));
    if (!answer.picture) return;
    const picture = make("img", { src: answer.picture, alt: "" });
    await picture.decode().catch(() => {});
    if (page !== this.#page || asked !== askedFields() || !picture.naturalWidth) return;
    for (const card of this.#element.querySelectorAll(".card")) {
      if (card.dataset.page === page) layOver(card.querySelector(".thumb-frame"), picture);
    }
  }
}

/** Lay a map of a whole page over the thumbnail in a frame, which may show only the start of the page. */
function layOver(frame, picture) {
  const thumb = frame?.querySelector("img.thumb");
  if (!thumb || frame.querySelector(".card-map")) return;
  const [width, height] = [Number(thumb.getAttribute("width")), Number(thumb.getAttribute("height"))];
  // The frame may be wider or higher than the thumbnail, which then is in the middle of its element.
  const scale = Math.min(thumb.offsetWidth / width, thumb.offsetHeight / height);
  const map = make("span", { class: "card-map", "aria-hidden": "true" });
  Object.assign(map.style, {
    left: `${thumb.offsetLeft + (thumb.offsetWidth - width * scale) / 2}px`,
    top: `${thumb.offsetTop + (thumb.offsetHeight - height * scale) / 2}px`,
    width: `${width * scale}px`,
    height: `${height * scale}px`,
  });
  const shape = picture.naturalHeight / picture.naturalWidth / (height / width);
  const isLong = Math.max(height / width, width / height) >= LONG_THUMBNAIL;
  for (const name of ["card-map-ink", "card-map-light"]) {
    const layer = make("img", { class: name, src: picture.src, alt: "", draggable: "false" });
    layer.style.width = isLong && shape < 1 ? `${100 / shape}%` : "100%";
    layer.style.height = isLong && shape > 1 ? `${100 * shape}%` : "100%";
    map.append(layer);
  }
  frame.append(map);
}
