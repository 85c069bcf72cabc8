// Dialogs: the shortcuts, and the token where one is asked for.
import { setToken } from "./api.js";
import { h } from "./dom.js";

/**
 * @param {string} title
 * @param {...import("./dom.js").Child} children
 * @returns {HTMLDialogElement}
 */
function dialog(title, ...children) {
  const made = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-labelledby": "dialog-title" }, h("h2", { id: "dialog-title" }, title), children));
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

/** @param {[string, string][]} views Keys and what they do. */
export function showHelp(views) {
  /** @type {[string, string][]} */
  const keys = [
    ...views,
    ["/", "search"],
    ["Tab", "the next part of the page"],
    ["← ↑ ↓ →", "move in lists, tabs and the topology"],
    ["Page Up, Page Down, Home, End", "move further in lists"],
    ["Enter", "open"],
    ["Esc", "leave the search, close this"],
    ["?", "this help"],
  ];
  const made = dialog(
    "Keyboard",
    h(
      "dl",
      { class: "keys" },
      keys.map(([key, what]) => h("div", {}, h("dt", {}, key.split(", ").map((each) => [h("kbd", {}, each), " "])), h("dd", {}, what))),
    ),
    h("form", { method: "dialog" }, h("button", {}, "Close")),
  );
  made.querySelector("button")?.focus();
}

/**
 * Ask for a token; it is kept until the tab is closed.
 * @param {string} why
 * @returns {Promise<boolean>} Whether one was given.
 */
export function askToken(why) {
  return new Promise((resolve) => {
    const input = /** @type {HTMLInputElement} */ (h("input", { id: "token", type: "password", autocomplete: "off", required: true, "aria-describedby": "token-why" }));
    const form = h(
      "form",
      {
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          setToken(input.value.trim());
          isGiven = true;
          made.close();
        },
      },
      h("p", { id: "token-why" }, why ? `${why}. ` : "", "A token is in the file that api.tokens of the daemon's configuration names. It is kept until this tab is closed."),
      h("label", { for: "token" }, "Token"),
      input,
      h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => made.close() }, "Not now"), h("button", { type: "submit", class: "main" }, "Use it")),
    );
    let isGiven = false;
    const made = dialog("A token, please", form);
    made.addEventListener("close", () => resolve(isGiven));
    input.focus();
  });
}
