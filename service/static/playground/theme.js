// Light or dark? Set before the first paint, so nothing flashes: hence a script and no module.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is forbidden here: then the system's choice stands.
  }
})();
