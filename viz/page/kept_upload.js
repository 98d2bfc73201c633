// Which file of one's own did this browser tab show last? Its token and its name, empty where there was none.
() => {
  try {
    const { token, name } = JSON.parse(sessionStorage.getItem('pointmcd-upload')) ?? {};
    return [token ?? '', name ?? ''];
  } catch {
    return ['', '']; // a browser that keeps nothing
  }
}
