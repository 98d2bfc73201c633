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

/** @import { Color } from "./types.d.ts" */

/** An object of plotly's WebGL scene: it is told when to draw, and says by `dirty` that it wants to be. */
export class Discs {
  /**
   * @param {WebGLRenderingContext} gl
   * @param {() => number[] | null} toScreen gives the column-major matrix from the world to the clip volume, at the moment
   *   of drawing
   */
  constructor(gl, toScreen) {
    this.gl = gl;
    this.toScreen = toScreen;
    this.pixelRatio = 1;
    this.count = 0;
    this.diameter = 0;
    this.outline = 0;
    this.outlineColor = [0, 0, 0];
    this.dirty = true;
    this.program = linkProgram(gl, DISC_CORNER, DISC_PIXEL);
    /** @param {string} name */
    const place = (name) => gl.getUniformLocation(this.program, name);
    this.places = {
      toScreen: place("toScreen"), diameter: place("diameter"), outline: place("outline"), outlineColor: place("outlineColor"),
    };
    this.positions = gl.createBuffer();
    this.colors = gl.createBuffer();
    this.attributes = [
      { place: gl.getAttribLocation(this.program, "position"), buffer: this.positions, type: gl.FLOAT, normalized: false },
      { place: gl.getAttribLocation(this.program, "color"), buffer: this.colors, type: gl.UNSIGNED_BYTE, normalized: true },
    ];
    // What is read from where: said once and then left alone, apart from what plotly's own objects read. Some drivers
    // go on reading the old points of an attribute that was disabled while new ones came. An old graphics card has no
    // such place, so there it is said before each drawing.
    this.vertexArrays = gl.getExtension("OES_vertex_array_object");
    this.reading = this.vertexArrays?.createVertexArrayOES() ?? null;
    this.vertexArrays?.bindVertexArrayOES(this.reading);
    this.readBuffers();
    this.vertexArrays?.bindVertexArrayOES(null);
    /** @type {number} */
    this.largest = (gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE) ?? [1, Infinity])[1]; // null of a lost context
  }

  isOpaque() { return true; }

  isTransparent() { return false; }

  /** @param {Float32Array} points */
  move(points) {
    this.count = points.length / 3;
    this.fill(this.positions, points);
  }

  /** @param {Uint8Array} bytes three a point */
  recolor(bytes) {
    this.fill(this.colors, bytes);
  }

  /**
   * Diameter and width of the outline in CSS pixels; the outline's colour as three bytes.
   * @param {{diameter: number, outline: number}} size
   * @param {Color} outlineColor
   */
  style({ diameter, outline }, outlineColor) {
    this.diameter = diameter;
    this.outline = outline;
    this.outlineColor = outlineColor.map((byte) => byte / 255);
    this.dirty = true;
  }

  // Of a disc as it is drawn, in CSS pixels: a graphics card has a largest point.
  get radius() {
    return Math.min(this.diameter, this.largest / this.pixelRatio) / 2;
  }

  /** @param {WebGLBuffer | null} buffer @param {Float32Array | Uint8Array} values */
  fill(buffer, values) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, /** @type {Float32Array<ArrayBuffer>} */ (values), gl.DYNAMIC_DRAW);
    this.dirty = true;
  }

  draw() {
    const { gl, places, pixelRatio } = this;
    const matrix = this.count ? this.toScreen() : null;
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

/** @param {WebGLRenderingContext} gl @param {string} corner @param {string} pixel */
function linkProgram(gl, corner, pixel) {
  const program = gl.createProgram();
  for (const { type, source } of [{ type: gl.VERTEX_SHADER, source: corner }, { type: gl.FRAGMENT_SHADER, source: pixel }]) {
    const shader = gl.createShader(type);
    if (!shader) continue; // of a lost context
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

/**
 * The bytes of "rgb(r,g,b)" strings, of which a cloud holds few different ones.
 * @param {string[]} colors
 */
export function colorBytes(colors) {
  const known = new Map();
  const bytes = new Uint8Array(3 * colors.length);
  colors.forEach((color, n) => {
    const rgb = known.get(color) ?? (color.match(/\d+/g) ?? []).map(Number);
    known.set(color, rgb);
    bytes.set(rgb, 3 * n);
  });
  return bytes;
}
