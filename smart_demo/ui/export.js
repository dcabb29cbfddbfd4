/* Save the comparison on the screen as one HTML file, which Python makes, or as a picture drawn here from that file.
   Parsing the file runs no script in it, and Python has escaped its texts. */
(() => {
  "use strict";
  const WIDE = 1920, HIGH = 1080;
  const REFUSED = "This browser cannot draw the picture. Save the web page instead: it shows the same.";
  const menu = () => document.querySelector("#save-choices");
  const opener = () => document.querySelector('[data-share="save"]');

  /* ---- the menu with the two formats ---- */
  function toggleMenu(on) {
    if (!menu() || menu().hidden === !on) return;
    menu().hidden = !on;
    opener().setAttribute("aria-expanded", String(on));
    showStatus("");
  }

  function showStatus(text) {
    menu().querySelector(".save-said").textContent = text;
  }

  document.addEventListener("click", (event) => {
    const choice = event.target.closest?.("[data-save]");
    if (choice) save(choice.dataset.save);
    else if (event.target.closest?.('[data-share="save"]')) toggleMenu(menu().hidden);
    else if (!event.target.closest?.("#save-choices")) toggleMenu(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu() || menu().hidden) return;
    event.preventDefault();
    event.stopPropagation();
    toggleMenu(false);
    opener().focus();
  }, true);

  /* ---- saving ---- */
  async function save(format) {
    if (menu().ariaBusy === "true") return;
    menu().ariaBusy = "true";
    showStatus("Saving…");
    try {
      const answer = await fetchPage();
      if (answer.sentence) { showStatus(answer.sentence); return; }
      const picture = format === "picture";
      const file = picture ? await draw(answer.page).catch(() => null) : new Blob([answer.page], { type: "text/html" });
      if (!file) { showStatus(REFUSED); return; }
      const name = `${answer.name}.${picture ? "png" : "html"}`;
      window.smartDemo.save(file, name);
      showStatus(`Saved as ${name}`);
    } finally {
      menu().ariaBusy = "false";
    }
  }

  async function fetchPage() {
    const asked = document.querySelector(".answer[data-asked]")?.dataset.asked;
    if (!asked) return { sentence: "There is no answer to save yet. Search first." };
    const silent = { sentence: "The demo does not answer. Is it still running?" };
    try {
      return await window.smartDemo.server.comparison({ asked: JSON.parse(asked), at: location.origin + location.pathname }) ?? silent;
    } catch {
      return silent;
    }
  }

  /* Draw the file's sheet on a canvas. Some browsers draw nothing instead of failing, so a blank picture is an error. */
  async function draw(page) {
    const parsed = new DOMParser().parseFromString(page, "text/html");
    const sheet = parsed.querySelector(".sheet"), whole = parsed.createElement("div");
    sheet.classList.add("is-picture");
    whole.append(parsed.querySelector("style"), sheet);
    const size = `width="${WIDE}" height="${HIGH}"`;
    const drawing = `<svg xmlns="http://www.w3.org/2000/svg" ${size}><foreignObject ${size}>${
      new XMLSerializer().serializeToString(whole)}</foreignObject></svg>`;
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing)}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: WIDE, height: HIGH });
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const some = context.getImageData(0, 0, WIDE, 240).data;
    if (some.every((part, at) => part === some[at % 4])) throw new Error("blank");
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
})();
