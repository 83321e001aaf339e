// How entities stand in each other: site > rack > node > unit, and MIG instances in their GPU. Pure.

/** Group entities by their paths: sites of racks of nodes of rows; missing levels are unnamed. */
export function grow(entities) {
  const gpus = new Map(entities.map((entity, row) => [entity.id, row]));
  const parts = new Map(); // row of a GPU → rows of its instances
  const sites = new Map();
  entities.forEach((entity, row) => {
    const parent = entity.kind === "mig" ? gpus.get(entity.path.slice(0, -1).join("/")) : undefined;
    if (parent !== undefined) {
      parts.set(parent, [...(parts.get(parent) ?? []), row]);
      return;
    }
    const [site, rack, node] = levels(entity.path);
    const racks = within(sites, site, () => new Map());
    const nodes = within(racks, rack, () => new Map());
    within(nodes, node, () => []).push(row);
  });
  return { sites: [...sites].map(named), parts };
}

/** The last three levels above the unit; what lies further out joins the site. */
function levels(path) {
  const above = path.slice(0, -1);
  const site = above.slice(0, Math.max(0, above.length - 2)).join("/");
  return [site, above.length > 1 ? above[above.length - 2] : "", above[above.length - 1] ?? ""];
}

function within(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}

function named([site, racks]) {
  const all = [...racks].map(([rack, nodes]) => {
    const list = [...nodes].map(([node, rows]) => ({ name: node, rows }));
    return { name: rack, nodes: list, rows: list.flatMap((node) => node.rows) };
  });
  return { name: site, racks: all, rows: all.flatMap((rack) => rack.rows) };
}

/** Which levels are worth a label: a level of one is not, but for the innermost that has a name. */
export function labelled(tree) {
  const racks = tree.sites.flatMap((site) => site.racks);
  const nodes = racks.flatMap((rack) => rack.nodes);
  const named = (list) => list.some((group) => group.name !== "");
  return {
    site: tree.sites.length > 1 && named(tree.sites),
    rack: racks.length > 1 && named(racks),
    node: named(nodes) && (nodes.length > racks.length || racks.length === 1),
  };
}
