(() => {
  const every = 10000;
  for (const part of document.querySelectorAll("[data-live]")) {
    const said = document.querySelector("[data-live-state]");
    const say = (text) => { if (said) said.textContent = text; };
    let wait = every;
    const ask = async () => {
      if (!document.hidden) {
        try {
          const answer = await fetch(part.dataset.live, { credentials: "same-origin", redirect: "error" });
          if (answer.status === 401) { location.assign("/console?told=ended"); return; }
          if (!answer.ok) throw new Error(String(answer.status));
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
          part.replaceChildren(...fresh.body.childNodes);
          wait = every;
          say("Kept fresh by itself.");
        } catch {
          wait = Math.min(wait * 2, 120000);
          say("The server does not answer; trying again.");
        }
      }
      setTimeout(ask, wait);
    };
    say("Kept fresh by itself.");
    setTimeout(ask, wait);
  }
  // What is shown once is not there any more when the browser comes back to a page that it kept.
  addEventListener("pagehide", () => {
    for (const once of document.querySelectorAll("[data-once]")) once.textContent = "gone with the page";
  });
})();
