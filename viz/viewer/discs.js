// How are the points drawn? As one corner each, which the graphics card widens to a disc: plotly's own markers are
// polygons of up to a hundred corners a point, and those made up nearly all of a frame.


const DISC_CORNER = `
attribute vec3 position;
attribute vec3 color;
uniform mat4 toScreen;
uniform mediump float diameter;
varying vec3 fill;
void main() {
  fill = color;
  gl_Position = toScreen * vec4(position, 1.0);
  gl_PointSize = diameter;
}`;
const DISC_PIXEL = `
precision mediump float;
uniform float diameter;
uniform float outline;
uniform vec3 outlineColor;
varying vec3 fill;
void main() {
  float inside = 0.5 * diameter - length(gl_PointCoord - 0.5) * diameter;
  if (inside < 0.0) discard;
  gl_FragColor = vec4(inside < outline ? outlineColor : fill, 1.0);
}`;

// An object of plotly's WebGL scene: it is told when to draw, and says by `dirty` that it wants to be.
export class Discs {
  // `toScreen` gives the column-major matrix from the world to the clip volume, at the moment of drawing.
  constructor(gl, toScreen) {
    Object.assign(this, { gl, toScreen, pixelRatio: 1, count: 0, diameter: 0, dirty: true });
    this.program = linkProgram(gl, DISC_CORNER, DISC_PIXEL);
    const names = ["toScreen", "diameter", "outline", "outlineColor"];
    this.places = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(this.program, name)]));
    this.positions = gl.createBuffer();
    this.colors = gl.createBuffer();
    this.attributes = [["position", this.positions, gl.FLOAT, false], ["color", this.colors, gl.UNSIGNED_BYTE, true]].map(
      ([name, buffer, type, normalized]) => ({ place: gl.getAttribLocation(this.program, name), buffer, type, normalized }),
    );
    // What is read from where: said once and then left alone, apart from what plotly's own objects read. Some drivers
    // go on reading the old points of an attribute that was disabled while new ones came. An old graphics card has no
    // such place, so there it is said before each drawing.
    this.vertexArrays = gl.getExtension("OES_vertex_array_object");
    this.reading = this.vertexArrays?.createVertexArrayOES();
    this.vertexArrays?.bindVertexArrayOES(this.reading);
    this.readBuffers();
    this.vertexArrays?.bindVertexArrayOES(null);
    [, this.largest] = gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE) ?? [1, Infinity]; // null of a lost context
  }

  isOpaque() { return true; }

  isTransparent() { return false; }

  move(points) {
    this.count = points.length / 3;
    this.fill(this.positions, points);
  }

  // Three bytes a point.
  recolor(bytes) {
    this.fill(this.colors, bytes);
  }

  // Diameter and width of the outline in CSS pixels; the outline's colour as three bytes.
  style({ diameter, outline }, outlineColor) {
    Object.assign(this, { diameter, outline, outlineColor: outlineColor.map((byte) => byte / 255), dirty: true });
  }

  // Of a disc as it is drawn, in CSS pixels: a graphics card has a largest point.
  get radius() {
    return Math.min(this.diameter, this.largest / this.pixelRatio) / 2;
  }

  fill(buffer, values) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    this.dirty = true;
  }

  draw() {
    const { gl, places, pixelRatio } = this;
    const matrix = this.count && this.toScreen();
    if (!matrix) return;
    gl.useProgram(this.program);
    gl.uniformMatrix4fv(places.toScreen, false, matrix);
    gl.uniform1f(places.diameter, 2 * this.radius * pixelRatio);
    gl.uniform1f(places.outline, this.outline * pixelRatio);
    gl.uniform3fv(places.outlineColor, this.outlineColor);
    if (this.vertexArrays) this.vertexArrays.bindVertexArrayOES(this.reading);
    else this.readBuffers();
    gl.drawArrays(gl.POINTS, 0, this.count);
    this.vertexArrays?.bindVertexArrayOES(null);
  }

  readBuffers() {
    const { gl } = this;
    // An attribute that another object left enabled, and whose buffer is gone, would forbid the drawing.
    const left = gl.getParameter(gl.MAX_VERTEX_ATTRIBS);
    for (let place = 0; place < left; place++) gl.disableVertexAttribArray(place);
    for (const { place, buffer, type, normalized } of this.attributes) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, type, normalized, 0, 0);
    }
  }

  dispose() {
    const { gl } = this;
    this.vertexArrays?.deleteVertexArrayOES(this.reading);
    gl.deleteBuffer(this.positions);
    gl.deleteBuffer(this.colors);
    gl.deleteProgram(this.program);
  }
}

function linkProgram(gl, corner, pixel) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, corner], [gl.FRAGMENT_SHADER, pixel]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    gl.deleteShader(shader); // it lives as long as the program
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`the points' program: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}

// The bytes of "rgb(r,g,b)" strings, of which a cloud holds few different ones.
export function colorBytes(colors) {
  const known = new Map();
  const bytes = new Uint8Array(3 * colors.length);
  colors.forEach((color, n) => {
    if (!known.has(color)) known.set(color, color.match(/\d+/g).map(Number));
    bytes.set(known.get(color), 3 * n);
  });
  return bytes;
}
