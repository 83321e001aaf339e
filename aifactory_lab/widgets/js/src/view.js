// What one view of a board looks at: metric, time, pause, selection. Pure state; panels read it when they paint.

export class View {
  constructor(changed) {
    this.changed = changed;
    this.metric = "busy";
    this.window = 60; // seconds, Infinity for all
    this.zoom = null; // [from, to]
    this.paused = null; // the moment that stands still
    this.selected = []; // {feed, id}, in the order picked
    this.open = null; // {feed, id}
    this.cursor = null; // the moment under the pointer
    this.table = false;
  }

  set(changes) {
    Object.assign(this, changes);
    this.changed();
  }

  /** The newest moment shown: that of the pause, or the newest sample of the feeds. */
  now(feeds) {
    if (this.paused !== null) return this.paused;
    return feeds.reduce((latest, feed) => Math.max(latest, feed.latest?.t ?? 0), 0);
  }

  /** [from, to] of the lines, in seconds since the epoch. */
  range(feeds) {
    if (this.zoom) return this.zoom;
    const to = this.now(feeds);
    if (this.window !== Infinity) return [to - this.window, to];
    const first = feeds.reduce((least, feed) => Math.min(least, feed.samples[0]?.t ?? to), to);
    return [Math.min(first, to - 10), to];
  }

  /** The sample of a feed that the heat map and the tiles show. */
  sample(feed) {
    if (this.paused === null) return feed.latest;
    const place = feed.before(this.paused);
    return place < 0 ? null : feed.samples[place];
  }

  pause(feeds) {
    this.set(this.paused === null ? { paused: this.now(feeds) } : { paused: null, zoom: null });
  }

  zoomBy(factor, at, feeds) {
    const [from, to] = this.range(feeds);
    const length = Math.max(2, Math.min(86_400, (to - from) * factor));
    const share = (at - from) / Math.max(1e-9, to - from);
    this.set({ zoom: [at - share * length, at + (1 - share) * length] });
  }

  panBy(seconds, feeds) {
    const [from, to] = this.range(feeds);
    this.set({ zoom: [from + seconds, to + seconds] });
  }

  isSelected(feed, id) {
    return this.selected.some((one) => one.feed === feed && one.id === id);
  }

  /** Click: this one alone, and its panel; with ctrl or shift: put it into the lines or take it out. */
  pick(feed, id, adding) {
    if (!adding) return this.set({ selected: [{ feed, id }], open: { feed, id } });
    const selected = this.isSelected(feed, id)
      ? this.selected.filter((one) => one.feed !== feed || one.id !== id)
      : [...this.selected, { feed, id }].slice(-7);
    return this.set({ selected });
  }
}
