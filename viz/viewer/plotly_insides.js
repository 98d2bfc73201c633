// Which of plotly's insides does the viewer touch? Those that are named here, and only in this file: plotly promises none
// of them, so requirements.txt holds its version, and what another one lacks is said by name.


// Where they are in plotly's scene, and what has to be there.
/** @type {Record<string, string>} */
const PLOTLY_INSIDES = {
  getCamera: "function", toImage: "function", updateFx: "function", dataScale: "object", "camera.mode": "string",
  "glplot.gl": "object", "glplot.canvas": "object", "glplot.fovy": "number", "glplot.update": "function",
  "glplot.add": "function", "glplot.objects": "object", "glplot.objects.0.pickSlots": "number",
  "glplot.objects.0._trace.data.index": "number", "glplot.cameraParams.model": "object",
  "glplot.cameraParams.view": "object", "glplot.cameraParams.projection": "object",
};

/** @import { Discs } from "./discs.js" */
/** @import { Pose } from "./types.d.ts" */

export class PlotlyInsides {
  /** @param {HTMLElement} node */
  constructor(node) {
    /** @type {any} plotly has no types for its insides: here, and nowhere else, nothing is checked */
    this.node = node;
    /** @type {any} the plot that our object is part of */
    this.joined = null;
  }

  get scene() {
    return this.node._fullLayout?.scene?._scene;
  }

  // Without WebGL a scene has no plot.
  get plot() {
    return this.scene?.glplot;
  }

  get missing() {
    /** @param {string} path */
    const at = (path) => path.split(".").reduce((holder, key) => holder?.[key], this.scene) ?? undefined;
    return Object.keys(PLOTLY_INSIDES).filter((path) => {
      const kind = typeof at(path);
      return kind !== PLOTLY_INSIDES[path];
    });
  }

  /** @returns {Pose | undefined} */
  get camera() {
    const camera = this.scene?.getCamera();
    return camera && { eye: camera.eye, center: camera.center, up: camera.up };
  }

  // Whether the frame on the screen was drawn from where the camera now is: plotly draws some frames later.
  get rests() {
    // A copy: asking plotly for the camera overwrites this matrix until the next frame.
    const drawn = this.plot?.cameraParams.view.slice();
    const eye = drawn && this.camera?.eye;
    if (!eye) return true;
    const away = [0, 1, 2].map((r) => drawn[r] * eye.x + drawn[4 + r] * eye.y + drawn[8 + r] * eye.z + drawn[12 + r]);
    return Math.hypot(...away) < 1e-4;
  }

  /**
   * Column-major, from the world to the clip volume.
   * @returns {number[] | null}
   */
  get screenMatrix() {
    const { scene, plot } = this;
    if (!plot) return null;
    const { projection, view, model } = plot.cameraParams;
    const scaled = model.slice();
    for (let c = 0; c < 3; c++) for (let r = 0; r < 4; r++) scaled[4 * c + r] *= scene.dataScale[c];
    return multiply(projection, multiply(view, scaled));
  }

  /** @param {number} angle */
  set fieldOfView(angle) {
    this.plot.fovy = angle;
    this.plot.update(); // in the next frame, with all else that is new
  }

  // On every update plotly enters the turntable mode again, and that deafens the camera to drags and flights for half a
  // second. Here the mode never changes, so it is entered only where it is not in force.
  keepTurntable() {
    const { scene } = this;
    const updateFx = scene.updateFx.bind(scene);
    /** @param {string} dragmode @param {unknown} hovermode */
    scene.updateFx = (dragmode, hovermode) => {
      if (scene.camera.mode !== dragmode) updateFx(dragmode, hovermode);
    };
  }

  // plotly makes its first plot late, and a new one after a loss of the context.
  get hasNewPlot() {
    return Boolean(this.plot) && this.plot !== this.joined;
  }

  /**
   * Let plotly's plot draw an object of ours, made for its context, in its own frames and before all traces.
   * @param {(gl: WebGLRenderingContext) => Discs} make
   */
  join(make) {
    const { plot } = this;
    this.joined = plot;
    this.skipPicking(plot);
    const object = make(plot.gl);
    plot.add(Object.assign(object, { _trace: { data: { index: -1 } } })); // plotly sorts what it draws by this
    return object;
  }

  // The viewer itself finds the point under the pointer: plotly, which draws everything once more and reads the picture
  // back to know it, is told that nothing can be picked. It looks at that when something is added.
  /** @param {any} plot */
  skipPicking(plot) {
    const add = plot.add;
    /** @param {object} object */
    const unpickable = (object) => Object.assign(object, { pickSlots: 0 });
    plot.objects.forEach(unpickable);
    /** @param {object} object */
    plot.add = (object) => add(unpickable(object));
  }

  // A new plot has a canvas of its own; the one before it would hold a context for nothing.
  dropOldPlot() {
    const { canvas, gl } = this.joined;
    canvas.remove();
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  /**
   * A PNG, as the address of its data.
   * @returns {Promise<string> | undefined}
   */
  toImage() {
    return this.scene?.toImage("png");
  }
}

/**
 * Column-major 4 x 4 product.
 * @param {number[]} a
 * @param {number[]} b
 * @returns {number[]}
 */
function multiply(a, b) {
  const out = new Array(16).fill(0);
  for (let c = 0; c < 4; c++) {
    for (let r = 0; r < 4; r++) {
      for (let i = 0; i < 4; i++) out[4 * c + r] += a[4 * i + r] * b[4 * c + i];
    }
  }
  return out;
}
