/* The tab where people judge: who judges, which panel is open. */
(() => {
  "use strict";
  const KEPT_AS = "smart-demo-judge";

  /* 128 random bits name this browser's journal on a public page; a private page has one journal and asks for no name. */
  let mine;
  function owner() {
    if (mine) return mine;
    try { mine = localStorage.getItem(KEPT_AS); } catch { mine = null; }
    if (/^[0-9a-f]{32}$/.test(mine ?? "")) return mine;
    mine = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try { localStorage.setItem(KEPT_AS, mine); } catch { /* It lasts as long as the page, then. */ }
    return mine;
  }

  const show = (panel) => document.querySelector(`#judge-tabs [role="tab"][data-tab-id="judge-${panel}"]`)?.click();

  window.smartDemo.judge = { owner, show, vote() {}, grade() {} };
})();
