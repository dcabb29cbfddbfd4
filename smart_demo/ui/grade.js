/* Graded relevance: shows one page large; the arrow keys choose another page and the keys 0 to 3 grade it. */
(() => {
  "use strict";
  const judge = window.smartDemo.judge;

  judge.grade = (element, server, watch, trigger) => {
    const find = (selector) => element.querySelector(selector), slips = () => [...element.querySelectorAll(".slip")];
    let page = "", query = "", requests = 0;
    const chosen = () => slips().findIndex((slip) => slip.dataset.page === page);

    /* A new query starts at its first page without a grade, also after a reload. */
    function settle() {
      const all = slips();
      if (!all.length) return;
      const asked = find(".judge-query").textContent;
      if (asked !== query || chosen() < 0) page = (all.find((slip) => !slip.dataset.grade) ?? all[0]).dataset.page;
      query = asked;
      choose(chosen());
    }

    function choose(to, focus = false) {
      const all = slips(), slip = all[Math.min(Math.max(to, 0), all.length - 1)];
      page = slip.dataset.page;
      for (const other of all) {
        other.setAttribute("aria-selected", String(other === slip));
        other.tabIndex = other === slip ? 0 : -1;
      }
      for (const button of element.querySelectorAll("[data-as]")) {
        button.setAttribute("aria-pressed", String(button.dataset.as === slip.dataset.grade));
      }
      const strip = slip.parentElement;
      strip.scrollTop = slip.offsetTop - (strip.clientHeight - slip.offsetHeight) / 2;
      strip.scrollLeft = slip.offsetLeft - (strip.clientWidth - slip.offsetWidth) / 2;
      if (focus) slip.focus({ preventScroll: true });
      showPage(slip);
    }

    async function showPage(slip) {
      const request = ++requests, image = find(".reading-page img"), caption = find(".reading-said"), thumb = slip.querySelector("img.thumb");
      const name = [".leaf-name", ".leaf-page"].map((part) => slip.querySelector(part).textContent).join(", ");
      caption.textContent = name;
      image.alt = name;
      image.hidden = !thumb;
      if (thumb) image.src = thumb.src;
      const answer = await judge.picture(server, slip.dataset.page);
      if (request !== requests) return;
      if (answer.picture) { image.src = answer.picture; image.hidden = false; }
      else caption.textContent = `${name}. ${answer.sentence}`;
    }

    /* Grade the page, then choose the next one without a grade. Stay if every page has one. */
    async function grade(value) {
      const slip = slips()[chosen()], before = slip?.dataset.grade, graded = page;
      if (!slip) return;
      await panel.tell({ act: "grade", page: graded, grade: Number(value) });
      const all = slips(), here = all.findIndex((other) => other.dataset.page === graded);
      if (here < 0 || before === all[here].dataset.grade || before) return;
      const open = [...all.slice(here + 1), ...all.slice(0, here)].find((other) => !other.dataset.grade);
      choose(open ? all.indexOf(open) : here, element.contains(document.activeElement));
    }

    const enlarge = () => judge.blind.open(slips(), slips()[chosen()], server);

    function click(button) {
      if (button.dataset.as) grade(button.dataset.as);
      else if ("view" in button.dataset) enlarge();
      else if ("ranks" in button.dataset) panel.tell({ act: "ranks" });
    }

    function key(pressed) {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[pressed];
      if (!panel.ready()) return /^[0-3]$/.test(pressed);
      if (pressed === "u") panel.tell({ act: "undo" });
      else if (pressed === "n" && Number(find("[data-next]")?.dataset.next) >= 0) panel.look({ act: "go", at: Number(find("[data-next]").dataset.next) });
      else if (!slips().length) return false;
      else if (step) choose(chosen() + step, true);
      else if (/^[0-3]$/.test(pressed)) grade(pressed);
      else if (pressed === "v" || (pressed === "Enter" && document.activeElement.matches(".slip"))) enlarge();
      else return false;
      return true;
    }

    element.addEventListener("click", (event) => {
      const slip = event.target.closest(".slip");
      if (slip) choose(slips().indexOf(slip), true);
    });
    const panel = judge.panel(element, watch, trigger, { name: "grade", act: (what) => server.grade(what), settle, click, key });
  };
})();
