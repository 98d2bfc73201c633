// Which of plotly's insides does the viewer touch? Those that are named here, and only in this file: plotly promises none
// of them, so requirements.txt holds its version, and what another one lacks is said by name.


// Where they are in plotly's scene, and what has to be there.
const PLOTLY_INSIDES = {
  getCamera: "function", toImage: "function", updateFx: "function", dataScale: "object", "camera.mode": "string",
  "glplot.gl": "object", "glplot.canvas": "object", "glplot.fovy": "number", "glplot.update": "function",
  "glplot.add": "function", "glplot.objects": "object", "glplot.objects.0.pickSlots": "number",
  "glplot.objects.0._trace.data.index": "number", "glplot.cameraParams.model": "object",
  "glplot.cameraParams.view": "object", "glplot.cameraParams.projection": "object",
};

export class PlotlyInsides {
  constructor(node) {
    this.node = node;
    this.joined = null; // the plot that our object is part of
  }

  get scene() {
    return this.node._fullLayout?.scene?._scene;
  }

  // Without WebGL a scene has no plot.
  get plot() {
    return this.scene?.glplot;
  }

  get missing() {
    const at = (path) => path.split(".").reduce((holder, key) => holder?.[key], this.scene) ?? undefined;
    return Object.keys(PLOTLY_INSIDES).filter((path) => typeof at(path) !== PLOTLY_INSIDES[path]);
  }

  get camera() {
    const camera = this.scene?.getCamera();
    return camera && { eye: camera.eye, center: camera.center, up: camera.up };
  }

  // Whether the frame on the screen was drawn from where the camera now is: plotly draws some frames later.
  get rests() {
    // A copy: asking plotly for the camera overwrites this matrix until the next frame.
    const drawn = this.plot?.cameraParams.view.slice();
    if (!drawn) return true;
    const { eye } = this.camera;
    const away = [0, 1, 2].map((r) => drawn[r] * eye.x + drawn[4 + r] * eye.y + drawn[8 + r] * eye.z + drawn[12 + r]);
    return Math.hypot(...away) < 1e-4;
  }

  // Column-major, from the world to the clip volume.
  get screenMatrix() {
    const { scene, plot } = this;
    if (!plot) return null;
    const { projection, view, model } = plot.cameraParams;
    const scaled = model.slice();
    for (let c = 0; c < 3; c++) for (let r = 0; r < 4; r++) scaled[4 * c + r] *= scene.dataScale[c];
    return multiply(projection, multiply(view, scaled));
  }

  set fieldOfView(angle) {
    this.plot.fovy = angle;
    this.plot.update(); // in the next frame, with all else that is new
  }

  // On every update plotly enters the turntable mode again, and that deafens the camera to drags and flights for half a
  // second. Here the mode never changes, so it is entered only where it is not in force.
  keepTurntable() {
    const { scene } = this;
    const updateFx = scene.updateFx.bind(scene);
    scene.updateFx = (dragmode, hovermode) => {
      if (scene.camera.mode !== dragmode) updateFx(dragmode, hovermode);
    };
  }

  // plotly makes its first plot late, and a new one after a loss of the context.
  get hasNewPlot() {
    return Boolean(this.plot) && this.plot !== this.joined;
  }

  // Let plotly's plot draw an object of ours, made for its context, in its own frames and before all traces.
  join(make) {
    const { plot } = this;
    this.joined = plot;
    this.skipPicking(plot);
    const object = make(plot.gl);
    object._trace = { data: { index: -1 } }; // plotly sorts what it draws by this
    plot.add(object);
    return object;
  }

  // The viewer itself finds the point under the pointer: plotly, which draws everything once more and reads the picture
  // back to know it, is told that nothing can be picked. It looks at that when something is added.
  skipPicking(plot) {
    const add = plot.add;
    const unpickable = (object) => Object.assign(object, { pickSlots: 0 });
    plot.objects.forEach(unpickable);
    plot.add = (object) => add(unpickable(object));
  }

  // A new plot has a canvas of its own; the one before it would hold a context for nothing.
  dropOldPlot() {
    const { canvas, gl } = this.joined;
    canvas.remove();
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  // A PNG, as the address of its data.
  toImage() {
    return this.scene?.toImage("png");
  }
}

// Column-major 4 x 4 product.
function multiply(a, b) {
  const out = new Array(16).fill(0);
  for (let c = 0; c < 4; c++) {
    for (let r = 0; r < 4; r++) {
      for (let i = 0; i < 4; i++) out[4 * c + r] += a[4 * i + r] * b[4 * c + i];
    }
  }
  return out;
}
