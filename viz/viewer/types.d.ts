// Which nouns do the viewer's modules share? Types only: browsers never read this file.

// ---- what comes from Python (viz/bundle.py)

export interface PackedArray {
  dtype: string;
  shape: number[];
  data: string; // base64 of little-endian values
}

export interface PackedStudent {
  channels: number;
  rows: PackedArray;
  index: PackedArray;
  wins: PackedArray;
  alignment: PackedArray;
  alignment_bias: number[];
  global_wins: PackedArray;
  feature_colors: PackedArray;
  similarity: PackedArray;
  diagonal_dominance: number;
  retrieval_at_1: number;
  blind_channels: number;
  global_channels: number;
}

interface AnswerHead {
  key: string; // unique in the bundle, and in addresses: [a-z0-9_-]
  role: string;
  network: string;
  run: string;
  label: string; // what the page prints
  hint: string; // what it reads and how it learnt, in one line
  color: string; // the name of a colour of the theme
  top: [string, number][]; // [class, probability], best first
  margin: number;
}

export interface PackedAnswer extends AnswerHead {
  student: PackedStudent | null;
}

export interface Bundle {
  version: number;
  name: string;
  notes: string[];
  ticket?: string;
  student_name: string;
  total_points: number;
  points: PackedArray;
  to_world: PackedArray;
  colors: PackedArray | null;
  cameras: {
    world_to_camera: PackedArray;
    intrinsics: PackedArray;
    image_size: number;
    azimuth_deg: number[];
    elevation_deg: number[];
  };
  images: string[];
  visibility: {
    method: string;
    mask: PackedArray;
    margin: PackedArray;
    largest_margin: number;
    seen: number[];
    unseen: number;
  };
  heat: { maps: PackedArray; label: string; logits: number[]; on_background: number[] };
  answers: PackedAnswer[];
  domain: Domain;
}

export interface PackedCell {
  index: PackedArray;
  shares: PackedArray;
  bias: number;
}

// The value of the component: a bundle, or why there is none.
export type Value = Bundle | { loading: true } | { error: string } | null | undefined;

// ---- what the modules read (decode.js)

export type Numbers = Float32Array | Uint8Array | Uint16Array | Uint32Array;

export interface Domain {
  note: string | null;
  rule: string;
}

// What a student did with the points; each array has an entry for each drawn point.
export interface Learner {
  channels: number;
  winsInView: Uint16Array[];
  winsInViews: Uint32Array;
  alignmentInView: Float32Array[];
  alignmentBias: number[];
  globalWins: Numbers;
  featureColors: Numbers;
  similarity: Numbers; // views x views
  diagonalDominance: number;
  retrievalAt1: number;
  blindChannels: number;
  globalChannels: number;
}

export interface Answer extends AnswerHead {
  student: Learner | null;
}

// An answer that can be looked into.
export interface Student extends Answer {
  student: Learner;
}

export interface Cameras {
  matrices: Numbers[]; // of each view: 3 x 4, row by row, from the world to the camera
  intrinsics: Numbers; // 3 x 3, row by row
  imageSize: number;
  azimuth: number[];
  elevation: number[];
}

export interface Heat {
  maps: Numbers;
  height: number;
  width: number;
  label: string;
  logits: number[];
  onBackground: number[];
}

// The shares behind a cell of the similarity matrix.
export interface Shares {
  values: Float32Array;
  bias: number;
}

export interface Data {
  name: string;
  notes: string[];
  network: string; // of the students
  count: number; // of drawn points
  total: number; // of all points
  views: number;
  points: Float32Array;
  toWorld: Numbers;
  colors: Numbers | null;
  cameras: Cameras;
  images: string[];
  method: string;
  seenInView: Uint8Array[];
  viewsSeeing: Uint8Array;
  seenTotals: number[];
  unseenTotal: number;
  margin: (view: number, point: number) => number;
  heat: Heat;
  ticket: string | null;
  cells: Map<string, Shares | null>; // those that the server gave, by `cellKey`; null where it gave none
  asked: Set<string>;
  answers: Answer[]; // in the order to show
  students: Student[]; // of them, those that can be looked into: at least one
  domain: Domain;
}

// ---- what is chosen

export type Cell = [row: number, column: number];

export interface State {
  view: number;
  mode: string;
  scope: string;
  difference: string;
  least: number;
  point: number | null;
  student: string; // the key of an answer; "" for the first student
  compare: boolean;
  thumbs: string;
  cell: Cell | null;
}

export type Change = (changes: Partial<State>) => void;

// ---- what is drawn

export type Color = number[]; // red, green, blue: 0 to 255

export interface Theme {
  colors: Record<string, string>;
  maps: Record<string, string[]>;
  dimmed: number;
}

export interface LegendItem {
  color: string;
  label: string;
  value: string;
}

export interface Bar {
  stops: string[];
  low: number;
  high: number;
  ticks: number[];
  log?: boolean;
  digits?: number;
}

export interface Kept {
  top: number;
  kept: number;
  points: Float32Array;
}

export interface Legend {
  title: string;
  subtitle: string;
  bar?: Bar;
  items?: LegendItem[];
  note?: string;
  kept?: Kept; // the points that the winners' slider keeps
}

export interface Painted {
  colors: string[]; // CSS colours
  strong: Uint8Array; // 1 where the point is not dimmed
  legend: Legend;
}

export interface Vector {
  x: number;
  y: number;
  z: number;
}

// A camera as plotly has it.
export interface Pose {
  eye: Vector;
  center: Vector;
  up: Vector;
}

// What is marked in the scene besides the points; `flown` says that the camera stands where the view's does.
export interface Marks {
  view: number;
  point: number | null;
  flown: boolean;
}

export interface Lines {
  x: (number | null)[];
  y: (number | null)[];
  z: (number | null)[];
}

// ---- who is around the viewer

// plotly.js brings no types with it; these are the calls that the viewer makes.
export interface Plotly {
  version: string;
  react(node: HTMLElement, traces: object[], layout: object, config: object): Promise<unknown>;
  restyle(node: HTMLElement, update: object, traces: number[]): Promise<unknown>;
  relayout(node: HTMLElement, update: object): Promise<unknown>;
  purge(node: HTMLElement): void;
  Plots: { resize(node: HTMLElement): Promise<unknown> };
}

// What plotly makes of the element that it draws in.
export interface PlotlyNode extends HTMLElement {
  on(event: string, listener: () => void): void;
}

// The functions of the server that the page offers.
export interface Server {
  explain_cell?(question: { ticket: string; answer: string; row: number; column: number }): Promise<PackedCell>;
  predict_kept?(question: { student: string; answer: string; points: string }): Promise<
    { busy?: boolean; label?: string; probability?: number } | null
  >;
}

// What the component's start script hands over; see viz/components.py.
export interface Host {
  element: HTMLElement;
  props: { value: Value };
  watch: (name: string, act: () => void) => void;
  select: (chosen: Pick<State, "view" | "point" | "mode" | "student" | "compare">) => void;
  server: Server | null;
  config: { plotly: string; theme: { light: Theme; dark: Theme } };
}

declare global {
  interface Window {
    Plotly: Plotly;
    pointmcdViewer: object;
  }
}
