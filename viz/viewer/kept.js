// What does a student say of the points that the winners' slider keeps? They are what its classifier reads, so the server
// asks it again, with them alone.

import { percent, words } from "./numbers.js";

/** @import { Server } from "./types.d.ts" */

const PAUSE_MS = 150;

/** Of the questions that were asked, the newest is shown. */
export class KeptQuestion {
  /** @param {Server | null} server */
  constructor(server) {
    this.server = server;
    this.latest = 0;
    this.timer = 0;
  }

  /**
   * Ask when the hand rests.
   * @param {{network: string, key: string, points: Float32Array}} asked
   * @param {(text: string) => void} show
   */
  ask(asked, show) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(asked, show), PAUSE_MS);
  }

  /** @param {{network: string, key: string, points: Float32Array}} asked @param {(text: string) => void} show */
  async send({ network, key, points }, show) {
    const question = ++this.latest;
    if (!this.server?.predict_kept || points.length < 9) return;
    const bytes = new Uint8Array(points.buffer);
    const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    const said = await this.server.predict_kept({ student: network, answer: key, points: text });
    if (question !== this.latest) return;
    if (said?.busy) show("busy, try again");
    else if (said?.label && said.probability !== undefined) show(`${words(said.label)} ${percent(said.probability)}`);
  }
}
