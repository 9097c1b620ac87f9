// Which part of the messages is in sight? The newest, until somebody scrolls up.

const NEAR_PX = 48;

/** Keeps the end in sight while it grows. */
export class Scroll {
  #scroller;
  #button;
  #bar;
  #last = 0;
  #follows = true;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLButtonElement} button leads back to the end
   * @param {HTMLElement} bar shows that something is above
   */
  constructor(scroller, button, bar) {
    this.#scroller = scroller;
    this.#button = button;
    this.#bar = bar;
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    scroller.addEventListener("wheel", ({ deltaY }) => this.#onWheel(deltaY), { passive: true });
    button.addEventListener("click", () => this.#jump());
    new ResizeObserver(() => this.keep()).observe(scroller);
  }

  /** Call after what is shown has changed. */
  keep() {
    if (this.#follows) this.#toEnd();
    else this.#update();
  }

  /** Follow the end from now on. */
  follow() {
    this.#follows = true;
    this.#toEnd();
  }

  #toEnd() {
    const isEmpty = !this.#scroller.querySelector(".message");
    this.#scroller.scrollTop = isEmpty ? 0 : this.#scroller.scrollHeight;
    this.#last = this.#scroller.scrollTop;
    this.#update();
  }

  #jump() {
    this.follow();
    document.getElementById("message")?.focus({ preventScroll: true });
  }

  /** @param {number} deltaY */
  #onWheel(deltaY) {
    // Before the scrolling itself, which the growing text may undo before anybody sees it.
    if (deltaY < 0 && this.#scroller.scrollTop > 0) this.#follows = false;
  }

  #onScroll() {
    const { scrollTop } = this.#scroller;
    if (this.#distance() < NEAR_PX && scrollTop >= this.#last) this.#follows = true;
    else if (scrollTop < this.#last) this.#follows = this.#distance() < 2;
    this.#last = scrollTop;
    this.#update();
  }

  #distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #update() {
    const isFar = this.#distance() > NEAR_PX;
    if (this.#button.hidden !== !isFar) {
      if (!isFar && document.activeElement === this.#button)
        document.getElementById("message")?.focus({ preventScroll: true });
      this.#button.hidden = !isFar;
    }
    this.#bar.classList.toggle("over", this.#scroller.scrollTop > 4);
  }
}
