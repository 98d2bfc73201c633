// How is a cloud drawn and turned? One plotly scene, which is one WebGL context, kept for the page's whole life.

// Traces: the points, then what marks them.
const POINTS = 0;
const MARKS = [1, 2, 3];
const GLYPH_RADIUS = 1.32;
const FLIGHT_MS = 450;
const SMALLEST_DISC_PX = 3;

class Scene {
  constructor(plotly, node, onCamera) {
    this.plotly = plotly;
    this.node = node;
    this.onCamera = onCamera;
    this.drawn = 0;
    this.queue = Promise.resolve();
    this.fieldOfView = Math.PI / 3;
    this.flight = 0;
  }

  get internals() {
    return this.node._fullLayout?.scene?._scene;
  }

  get camera() {
    const camera = this.internals?.getCamera();
    return camera && { eye: camera.eye, center: camera.center, up: camera.up };
  }

  // Whether the frame on the screen was drawn from where the camera now is: plotly draws some frames later.
  get rests() {
    // A copy: asking plotly for the camera overwrites this matrix until the next frame.
    const drawn = this.internals?.glplot?.cameraParams?.view.slice();
    if (!drawn) return true;
    const { eye } = this.camera;
    const away = [0, 1, 2].map((r) => drawn[r] * eye.x + drawn[4 + r] * eye.y + drawn[8 + r] * eye.z + drawn[12 + r]);
    return Math.hypot(...away) < 1e-4;
  }

  // Calls to plotly run one after another: overlapping calls on one graph lose updates.
  enqueue(task) {
    this.queue = this.queue.then(task).catch((error) => console.error("3D view:", error));
    return this.queue;
  }

  // Draw a cloud with its marks; see `repaint` for what they are.
  draw(data, colors, theme, marks, camera) {
    const first = !this.internals;
    this.data = data;
    this.colors = colors;
    this.marks = JSON.stringify(marks);
    this.fieldOfView = verticalFieldOfView(data.cameras);
    this.style = this.pointStyle();
    const column = (c) => Array.from({ length: data.count }, (_, n) => data.points[3 * n + c]);
    const quiet = { type: "scatter3d", hoverinfo: "skip", showlegend: false };
    const traces = [
      { ...quiet, mode: "markers", x: column(0), y: column(1), z: column(2), marker: { ...this.style, color: colors, line: { ...this.style.line, color: theme.colors.scene } } },
      ...this.markLines(marks, theme).map(({ color, width, ...line }) => ({ ...quiet, mode: "lines", ...line, line: { color, width } })),
    ];
    const axis = { visible: false, range: [-HALF_RANGE, HALF_RANGE], autorange: false, showspikes: false };
    const aspect = (2 * HALF_RANGE) / SPAN;
    const layout = {
      autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", uirevision: "kept",
      scene: {
        xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "manual", aspectratio: { x: aspect, y: aspect, z: aspect },
        bgcolor: "rgba(0,0,0,0)", dragmode: "turntable", hovermode: false, uirevision: "kept",
      },
    };
    const config = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
    this.enqueue(async () => {
      // Asked for only now: a flight or a hand may have turned the camera while this call waited.
      layout.scene.camera = camera ?? this.camera ?? homePose();
      await this.plotly.react(this.node, traces, layout, config);
      if (first) {
        this.keepTurntable();
        this.skipPicking();
        const report = () => this.onCamera(this);
        this.node.on("plotly_relayouting", report);
        this.node.on("plotly_relayout", report);
      }
      this.drawn = data.count;
      this.fitFieldOfView();
    });
  }

  // On every update plotly enters the turntable mode again, and that deafens the camera to drags and flights for half a
  // second. Here the mode never changes, so it is entered only where it is not in force.
  keepTurntable() {
    const scene = this.internals;
    const updateFx = scene.updateFx.bind(scene);
    scene.updateFx = (dragmode, hovermode) => {
      if (scene.camera.mode !== dragmode) updateFx(dragmode, hovermode);
    };
  }

  // The viewer itself finds the point under the pointer, so plotly need not draw them all once more to know it.
  skipPicking() {
    const plot = this.internals.glplot;
    const add = plot.add;
    const skip = (object) => Object.assign(object, { drawPick() {} });
    plot.objects.forEach(skip);
    plot.add = (object) => add(skip(object));
  }

  // Dense clouds and small scenes want small points. The small ones are squares without an outline: a disc is a polygon
  // of 21 corners, which costs many times as much and looks the same.
  pointStyle() {
    const room = clamp(Math.min(this.node.clientWidth, this.node.clientHeight) / 480, 0.6, 1.6);
    const size = Math.round(10 * clamp(5.2 * Math.sqrt(1024 / this.data.count), 1.6, 7) * room) / 10;
    const isDisc = size >= SMALLEST_DISC_PX;
    return { size, symbol: isDisc ? "circle" : "square", line: { width: isDisc ? 1 : 0 } };
  }

  // The scene opens as wide as the rig's images, so that a flight to a view shows what the thumbnail shows.
  fitFieldOfView() {
    const plot = this.internals?.glplot;
    if (!plot) return;
    const { clientWidth: width, clientHeight: height } = this.node;
    const half = Math.tan(this.fieldOfView / 2) * Math.max(1, height / Math.max(width, 1));
    plot.fovy = 2 * Math.atan(half);
    plot.redraw?.();
  }

  // Show other colours, and the rig, the selected view's camera and its line of sight to the pinned point. One call,
  // because each call to plotly is a frame of its own.
  repaint(colors, marks, theme) {
    const update = {};
    const put = (key, trace, value) => { (update[key] ??= [])[trace] = value; };
    if (!colors.every((color, n) => color === this.colors[n])) put("marker.color", POINTS, colors);
    if (JSON.stringify(marks) !== this.marks) {
      this.markLines(marks, theme).forEach(({ x, y, z, color }, i) => {
        for (const [key, value] of Object.entries({ x, y, z, "line.color": color })) put(key, MARKS[i], value);
      });
    }
    if (!Object.keys(update).length) return;
    this.colors = colors;
    this.marks = JSON.stringify(marks);
    const traces = [POINTS, ...MARKS];
    // plotly leaves a trace alone whose value is undefined.
    for (const key of Object.keys(update)) update[key] = traces.map((trace) => update[key][trace]);
    this.enqueue(() => this.plotly.restyle(this.node, update, traces));
  }

  // From a view's own pose the rig would only stand in the way.
  markLines({ view, point, flown }, theme) {
    const { data } = this;
    const none = { x: [], y: [], z: [] };
    const sight = { x: [], y: [], z: [] };
    if (point !== null && !flown) {
      const apex = glyphApex(data.cameras, view);
      ["x", "y", "z"].forEach((axis, c) => sight[axis].push(data.points[3 * point + c], apex[c]));
    }
    const seen = point !== null && data.seenInView[view][point];
    return [
      { ...withCorners(flown ? none : rigLines(data.cameras, null)), color: theme.colors.rig, width: 1.5 },
      { ...(flown ? none : rigLines(data.cameras, view)), color: theme.colors.accent, width: 4 },
      { ...sight, color: seen ? theme.colors.seen : theme.colors.hidden, width: 2 },
    ];
  }

  setCamera(camera) {
    return this.enqueue(() => this.plotly.relayout(this.node, { "scene.camera": camera }));
  }

  // Turn to a pose over a moment; a second call, or the user's hand, ends the first flight.
  async fly(pose) {
    const ticket = ++this.flight;
    const from = this.camera ?? pose;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const start = performance.now();
    while (!still && this.flight === ticket) {
      const t = (performance.now() - start) / FLIGHT_MS;
      if (t >= 1) break;
      await this.setCamera(blendPoses(from, pose, t));
      await new Promise((done) => requestAnimationFrame(done));
    }
    if (this.flight === ticket) await this.setCamera(pose);
  }

  land() {
    this.flight += 1;
  }

  // Screen position of a world point, in CSS pixels of the node, and its depth; null behind the camera.
  screenPosition(x, y, z) {
    const matrix = this.screenMatrix();
    if (!matrix) return null;
    const [a, b, , w] = [0, 1, 2, 3].map((r) => matrix[r] * x + matrix[4 + r] * y + matrix[8 + r] * z + matrix[12 + r]);
    if (w <= 0) return null;
    return [(0.5 + (0.5 * a) / w) * this.node.clientWidth, (0.5 - (0.5 * b) / w) * this.node.clientHeight, w];
  }

  screenMatrix() {
    const scene = this.internals;
    const camera = scene?.glplot?.cameraParams;
    if (!camera) return null;
    const scaled = camera.model.slice();
    for (let c = 0; c < 3; c++) for (let r = 0; r < 4; r++) scaled[4 * c + r] *= scene.dataScale[c];
    return multiply(camera.projection, multiply(camera.view, scaled));
  }

  // The point under the pointer: of those within reach, the one in front.
  pick(px, py, reach = 9) {
    const matrix = this.screenMatrix();
    const { data } = this;
    if (!matrix || !data) return null;
    const { clientWidth: width, clientHeight: height } = this.node;
    let best = null;
    let bestScore = Infinity;
    for (let n = 0; n < data.count; n++) {
      const x = data.points[3 * n];
      const y = data.points[3 * n + 1];
      const z = data.points[3 * n + 2];
      const w = matrix[3] * x + matrix[7] * y + matrix[11] * z + matrix[15];
      if (w <= 0) continue;
      const dx = (0.5 + (0.5 * (matrix[0] * x + matrix[4] * y + matrix[8] * z + matrix[12])) / w) * width - px;
      const dy = (0.5 - (0.5 * (matrix[1] * x + matrix[5] * y + matrix[9] * z + matrix[13])) / w) * height - py;
      const distance = Math.hypot(dx, dy);
      if (distance > reach) continue;
      const score = distance / reach + 4 * w;
      if (score < bestScore) [best, bestScore] = [n, score];
    }
    return best;
  }

  screenPositionOf(point) {
    const { points } = this.data;
    return this.screenPosition(points[3 * point], points[3 * point + 1], points[3 * point + 2]);
  }

  toImage() {
    return this.internals?.toImage("png");
  }

  purge() {
    return this.enqueue(() => this.plotly.purge(this.node));
  }

  resize() {
    if (!this.internals) return;
    this.enqueue(async () => {
      await this.plotly.Plots.resize(this.node);
      this.fitFieldOfView();
      const style = this.pointStyle();
      if (style.size === this.style.size) return;
      this.style = style;
      const { size, symbol, line } = style;
      await this.plotly.restyle(this.node, { "marker.size": size, "marker.symbol": symbol, "marker.line.width": line.width }, [POINTS]);
    });
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

function glyphApex(cameras, view) {
  const center = cameraCenter(cameras.matrices[view]);
  const distance = Math.hypot(...center) || 1;
  return center.map((c) => (c / distance) * GLYPH_RADIUS);
}

// plotly scales a scene by the extent of all its traces. Two corners that draw nothing keep that extent the same, so
// that hiding the rig never leaves a frame in which points and projection disagree.
function withCorners(lines) {
  const corners = [-HALF_RANGE, null, HALF_RANGE, null];
  return Object.fromEntries(["x", "y", "z"].map((axis) => [axis, [...corners, ...lines[axis]]]));
}

// Small pyramids where the cameras stand, drawn on a sphere about the shape; one view's, or all of them for null.
function rigLines(cameras, only) {
  const lines = { x: [], y: [], z: [] };
  const add = (point) => ["x", "y", "z"].forEach((axis, i) => lines[axis].push(point ? point[i] : null));
  cameras.matrices.forEach((m, view) => {
    if (only !== null && only !== view) return;
    const apex = glyphApex(cameras, view);
    const corner = (sx, sy) => apex.map((a, i) => a + 0.07 * m[8 + i] + 0.045 * (sx * m[i] + sy * m[4 + i]));
    const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
    for (const point of [...corners, corners[0], apex, corners[1], corners[2], apex, corners[3], null]) add(point);
  });
  return lines;
}
