// Before the first paint: the colours that were chosen, or those of the system.
"use strict";
{
  let chosen = "";
  try {
    chosen = localStorage.getItem("pybgpd-theme") || "";
  } catch {
    // Storage is off: the system's colours are right.
  }
  if (chosen === "light" || chosen === "dark") {
    document.documentElement.dataset.theme = chosen;
  }
}
