// The conformance script on @stoqey/ib 1.6.10, a client for Node.
//
// Every event is written down as it comes; a step asks, waits for the event that ends its answer,
// and reads what was written since it asked. One JSON line a step, whatever happens.

import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";

const HOST = "127.0.0.1";
const SYMBOL = "TSLA";
const ACCOUNT = "DU1234567";
const [OWN, OTHER, WATCHER] = [1, 2, 3];
const [BID, ASK, LAST] = [1, 2, 4];
const [PRICE_LOW, PRICE_HIGH] = [98, 102];
// Prices that the market never falls to, and that it is always above.
const [FAR_BELOW, MARKETABLE_SELL] = [50, 90];

const { values: given } = parseArgs({
  options: {
    port: { type: "string" },
    deadline: { type: "string", default: "45" },
    // The folder whose node_modules holds the library.
    modules: { type: "string" },
  },
});
const port = Number(given.port);
const deadlineMs = Number(given.deadline) * 1000;
const require = createRequire(path.join(path.resolve(given.modules), "script.mjs"));
const { IBApi } = require("@stoqey/ib");

const nearMarket = (...prices) =>
  prices.length > 0 && prices.every((price) => PRICE_LOW <= price && price <= PRICE_HIGH);
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

const complaints = [];

// One client that writes down every event.
class App {
  constructor(clientId) {
    this.clientId = clientId;
    this.heard = [];
    this.waiting = new Set();
    this.requests = 1000;
    this.api = new IBApi({ host: HOST, port, clientId });
    this.api.on("all", (name, args) => {
      this.heard.push({ name, args });
      for (const look of [...this.waiting]) look();
    });
    // Node ends a program whose error event nobody listens to.
    this.api.on("error", (error) => complaints.push(error.message));
  }

  async start() {
    this.api.connect();
    [this.nextId] = (await this.wait("nextValidId")).args;
    await this.wait("managedAccounts");
    return this;
  }

  async close() {
    const mark = this.mark();
    this.api.disconnect();
    await this.wait("disconnected", () => true, mark);
  }

  takeId() {
    this.nextId += 1;
    return this.nextId - 1;
  }

  requestId() {
    this.requests += 1;
    return this.requests;
  }

  mark() {
    return this.heard.length;
  }

  since(mark, name, check = () => true) {
    return this.heard.slice(mark).filter((event) => event.name === name && check(...event.args));
  }

  async wait(name, check = () => true, mark = 0) {
    return (await this.waitFor(name, 1, check, mark))[0];
  }

  waitFor(name, number, check = () => true, mark = 0) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.since(mark, name, check);
        if (found.length < number) return;
        clearTimeout(timer);
        this.waiting.delete(look);
        resolve(found.slice(0, number));
      };
      const timer = setTimeout(() => {
        this.waiting.delete(look);
        reject(new Error(`no ${name}; heard ${this.described(mark)}`));
      }, deadlineMs);
      this.waiting.add(look);
      look();
    });
  }

  described(mark) {
    const one = ({ name, args }) =>
      ["error", "info"].includes(name) ? `${name} ${args[2]} ${args[1]} ${args[0]}` : name;
    const told = this.heard.slice(mark).filter(({ name }) => !["sent", "received"].includes(name));
    return told.slice(-12).map(one).join("; ") || "nothing";
  }

  async status(orderId, status, mark = 0) {
    const event = await this.wait(
      "orderStatus",
      (id, told) => id === orderId && told === status,
      mark,
    );
    const [, , filled, remaining, , permId, parentId] = event.args;
    return { filled, remaining, permId, parentId };
  }

  async errorOf(reqId, mark = 0) {
    return (await this.wait("error", (_error, _code, id) => id === reqId, mark)).args[1];
  }

  // Sends a request with a new id; returns its id and the events until the one that ends it.
  async ask(end, send) {
    const [reqId, mark] = [this.requestId(), this.mark()];
    send(reqId);
    await this.wait(end, (id) => id === reqId, mark);
    return [reqId, this.heard.slice(mark).filter((event) => event.args[0] === reqId)];
  }

  // Sends a request without an id; returns the mark from which its answer stands.
  async listing(end, send) {
    const mark = this.mark();
    send();
    await this.wait(end, () => true, mark);
    return mark;
  }
}

const stock = (symbol = SYMBOL) => ({
  symbol,
  secType: "STK",
  exchange: "SMART",
  currency: "USD",
});

// This library leaves what is not given empty on the wire, and an empty transmit means false.
const order = (action, totalQuantity, orderType, terms = {}) => ({
  action,
  totalQuantity,
  orderType,
  transmit: true,
  ...terms,
});

let app = new App(OWN);
let entryId;
let limitId;
let conId;

function place(client, made) {
  const orderId = client.takeId();
  client.api.placeOrder(orderId, stock(), made);
  return orderId;
}

async function filled(made) {
  const orderId = place(app, made);
  await app.status(orderId, "Filled");
  return orderId;
}

async function reportOf(execId) {
  return (await app.wait("commissionReport", (report) => report.execId === execId)).args[0];
}

async function oca(kind) {
  await filled(order("BUY", 100, "MKT"));
  const group = { ocaGroup: `exits${kind}`, ocaType: kind };
  const stop = place(app, order("SELL", 100, "STP", { auxPrice: FAR_BELOW, ...group }));
  await app.status(stop, "PreSubmitted");
  await filled(order("SELL", 50, "LMT", { lmtPrice: MARKETABLE_SELL, ...group }));
  if (kind === 1) {
    await app.status(stop, "Cancelled");
    return { left: 0 };
  }
  const event = await app.wait(
    "orderStatus",
    (id, _status, _filled, remaining) => id === stop && remaining === 50,
  );
  app.api.cancelOrder(stop);
  await app.status(stop, "Cancelled");
  return { left: event.args[3] };
}

const openRefs = (client, mark) =>
  client.since(mark, "openOrder").map(({ args }) => args[2].orderRef);

const steps = {
  async connect() {
    await app.start();
    const [accounts] = (await app.wait("managedAccounts")).args;
    return { server_version: app.api.serverVersion, accounts: accounts.split(",").filter(Boolean) };
  },

  async qualify() {
    const [, found] = await app.ask("contractDetailsEnd", (id) =>
      app.api.reqContractDetails(id, stock()),
    );
    const details = found.filter(({ name }) => name === "contractDetails").map(({ args }) => args[1]);
    conId = details[0].contract.conId;
    const unknown = app.requestId();
    app.api.reqContractDetails(unknown, stock("NO SUCH"));
    return {
      contracts: details.map(({ contract }) => [contract.conId, contract.primaryExch]),
      min_tick: details[0].minTick,
      unknown: await app.errorOf(unknown),
    };
  },

  async market_order() {
    entryId = await filled(order("BUY", 100, "MKT", { orderRef: "entry" }));
    const found = await app.waitFor("execDetails", 2, (reqId) => reqId === -1);
    const fills = found.map(({ args }) => args[2]);
    const reports = await Promise.all(fills.map(({ execId }) => reportOf(execId)));
    const statuses = app.since(0, "orderStatus", (id) => id === entryId);
    return {
      shares: fills.map((fill) => fill.shares),
      running_totals: fills.map((fill) => fill.cumQty),
      refs: fills.map((fill) => fill.orderRef),
      near_market: nearMarket(...fills.map((fill) => fill.price)),
      commission: Math.round(sum(reports.map((report) => report.commission)) * 100) / 100,
      currencies: reports.map((report) => report.currency),
      remaining: statuses.at(-1).args[3],
      day: fills[0].time.slice(0, 8),
    };
  },

  async positions() {
    const mark = app.mark();
    app.api.reqPositions();
    const held = await app.wait("position", (_account, _contract, size) => size === 100, mark);
    await app.wait("positionEnd", () => true, mark);
    const [account, contract, , cost] = held.args;
    return { account, symbol: contract.symbol, near_market: nearMarket(cost) };
  },

  async limit() {
    limitId = place(app, order("BUY", 10, "LMT", { lmtPrice: FAR_BELOW, orderRef: "limit" }));
    const status = await app.status(limitId, "Submitted");
    const echo = (await app.wait("openOrder", (id) => id === limitId)).args[2];
    return {
      filled: status.filled,
      remaining: status.remaining,
      price: echo.lmtPrice,
      same_perm_id: status.permId === echo.permId && echo.permId !== 0,
    };
  },

  async modify() {
    const mark = app.mark();
    const changed = order("BUY", 20, "LMT", { lmtPrice: 60, orderRef: "limit" });
    app.api.placeOrder(limitId, stock(), changed);
    const echo = (await app.wait("openOrder", (_id, _c, told) => told.lmtPrice === 60, mark)).args[2];
    const first = (await app.wait("openOrder", (id) => id === limitId)).args[2];
    const status = await app.wait(
      "orderStatus",
      (_id, _status, _filled, remaining) => remaining === 20,
      mark,
    );
    return {
      quantity: echo.totalQuantity,
      status: status.args[1],
      same_perm_id: echo.permId === first.permId,
    };
  },

  async cancel() {
    const mark = app.mark();
    app.api.cancelOrder(limitId);
    const status = await app.status(limitId, "Cancelled", mark);
    return { filled: status.filled, code: await app.errorOf(limitId, mark) };
  },

  async bracket() {
    const ids = [app.takeId(), app.takeId(), app.takeId()];
    const family = { parentId: ids[0], tif: "GTC" };
    const stop = { auxPrice: MARKETABLE_SELL, transmit: false, ...family };
    const legs = [
      order("BUY", 100, "MKT", { transmit: false }),
      order("SELL", 100, "STP", stop),
      order("SELL", 100, "LMT", { lmtPrice: 100.8, ...family }),
    ];
    legs.forEach((leg, number) => app.api.placeOrder(ids[number], stock(), leg));
    await app.status(ids[0], "Filled");
    const waited = await app.status(ids[1], "PreSubmitted");
    await app.status(ids[2], "Filled");
    await app.status(ids[1], "Cancelled");
    return { child_of_parent: waited.parentId === ids[0] };
  },

  async trailing_stop() {
    const orderId = place(app, order("SELL", 100, "TRAIL", { auxPrice: 0.6 }));
    await app.status(orderId, "PreSubmitted");
    await app.status(orderId, "Filled");
    const told = app.since(0, "openOrder", (id) => id === orderId).at(-1).args[2];
    return { stop_told: nearMarket(told.trailStopPrice) };
  },

  oca_1: () => oca(1),
  oca_2: () => oca(2),
  oca_3: () => oca(3),

  async what_if() {
    const orderId = place(app, order("BUY", 100, "MKT", { whatIf: true }));
    const [, , , state] = (await app.wait("openOrder", (id) => id === orderId)).args;
    const mark = await app.listing("openOrderEnd", () => app.api.reqOpenOrders());
    return {
      margin_grows: Number(state.initMarginChange) > 0,
      orders_left: app.since(mark, "openOrder").length,
    };
  },

  async open_orders() {
    const terms = { lmtPrice: FAR_BELOW, orderRef: "mine" };
    await app.status(place(app, order("BUY", 1, "LMT", terms)), "Submitted");
    const mark = await app.listing("openOrderEnd", () => app.api.reqOpenOrders());
    return { refs: openRefs(app, mark) };
  },

  async all_open_orders() {
    const other = await new App(OTHER).start();
    const terms = { lmtPrice: FAR_BELOW, orderRef: "theirs" };
    await other.status(place(other, order("BUY", 1, "LMT", terms)), "Submitted");
    const mark = await app.listing("openOrderEnd", () => app.api.reqAllOpenOrders());
    const all = app.since(mark, "openOrder").map(({ args }) => [args[2].orderRef, args[2].clientId]);
    const own = await app.listing("openOrderEnd", () => app.api.reqOpenOrders());
    await other.close();
    return { all: Object.fromEntries(all), own: openRefs(app, own) };
  },

  async completed_orders() {
    const mark = await app.listing("completedOrdersEnd", () => app.api.reqCompletedOrders(false));
    const done = new Map(app.since(mark, "completedOrder").map(({ args }) => [args[1].orderRef, args]));
    return {
      entry: done.get("entry")[2].status,
      limit: done.get("limit")[2].status,
      symbol: done.get("entry")[0].symbol,
      open_ones: ["mine", "theirs"].filter((ref) => done.has(ref)),
    };
  },

  async executions() {
    const [, found] = await app.ask("execDetailsEnd", (id) =>
      app.api.reqExecutions(id, { symbol: SYMBOL }),
    );
    const fills = found.filter(({ name }) => name === "execDetails").map(({ args }) => args[2]);
    await Promise.all(fills.map(({ execId }) => reportOf(execId)));
    const entry = fills.filter((fill) => fill.orderRef === "entry");
    return {
      entry: entry.map((fill) => fill.shares),
      sides: [...new Set(fills.map((fill) => fill.side))].sort(),
      different_ids: new Set(fills.map((fill) => fill.execId)).size === fills.length,
    };
  },

  async market_data() {
    const reqId = app.requestId();
    app.api.reqMktData(reqId, stock(), "", false, false);
    const price = async (kind, check = () => true) =>
      (await app.wait("tickPrice", (id, type, told) => id === reqId && type === kind && check(told)))
        .args[2];
    const [bid, ask, last] = [await price(BID), await price(ASK), await price(LAST)];
    const moved = await price(LAST, (told) => told !== last);
    app.api.cancelMktData(reqId);
    return { near_market: nearMarket(bid, ask, last, moved), crossed: bid > ask };
  },

  async snapshot() {
    const [, found] = await app.ask("tickSnapshotEnd", (id) =>
      app.api.reqMktData(id, stock(), "", true, false),
    );
    const prices = new Map(
      found.filter(({ name }) => name === "tickPrice").map(({ args }) => [args[1], args[2]]),
    );
    return { near_market: nearMarket(...[BID, ASK, LAST].map((kind) => prices.get(kind))) };
  },

  async history() {
    const reqId = app.requestId();
    app.api.reqHistoricalData(reqId, stock(), "", "1800 S", "5 secs", "TRADES", 0, 1, true);
    // The end of the bars is told as a bar whose date says that it is over.
    const over = (id, date) => id === reqId && date.startsWith("finished");
    await app.wait("historicalData", over);
    const read = ({ args: [, date, open, high, low, close] }) => ({ date, open, high, low, close });
    const bars = app
      .since(0, "historicalData", (id, date) => id === reqId && !over(id, date))
      .map(read);
    const update = read(await app.wait("historicalDataUpdate", (id) => id === reqId));
    app.api.cancelHistoricalData(reqId);
    const times = bars.map(({ date }) => date);
    const all = [...bars, update];
    return {
      bars: bars.length > 1,
      in_order: times.join() === [...times].sort().join(),
      near_market: nearMarket(...all.map(({ close }) => close)),
      high_is_highest: all.every(({ low, close, high }) => low <= close && close <= high),
      as_the_market_moved: bars.every((bar) => [0, 0.5].includes(Math.abs(bar.close - bar.open))),
    };
  },

  async head_timestamp() {
    const [, [head]] = await app.ask("headTimestamp", (id) =>
      app.api.reqHeadTimestamp(id, stock(), "TRADES", false, 1),
    );
    return { day: head.args[1].slice(0, 8) };
  },

  async real_time_bars() {
    const reqId = app.requestId();
    app.api.reqRealTimeBars(reqId, stock(), 5, "TRADES", false);
    const bars = await app.waitFor("realtimeBar", 2, (id) => id === reqId);
    app.api.cancelRealTimeBars(reqId);
    return {
      seconds_apart: bars[1].args[1] - bars[0].args[1],
      near_market: nearMarket(...bars.map(({ args }) => args[5])),
      high_is_highest: bars.every(
        ({ args: [, , , high, low, close] }) => low <= close && close <= high,
      ),
    };
  },

  async tick_by_tick() {
    const seen = {};
    const kinds = [
      ["Last", "tickByTickAllLast", 3],
      ["BidAsk", "tickByTickBidAsk", 2],
      ["MidPoint", "tickByTickMidPoint", 2],
    ];
    for (const [kind, event, place] of kinds) {
      const reqId = app.requestId();
      app.api.reqTickByTickData(reqId, stock(), kind, 0, false);
      const tick = await app.wait(event, (id) => id === reqId);
      app.api.cancelTickByTickData(reqId);
      seen[kind] = nearMarket(tick.args[place]);
      if (kind === "BidAsk") seen.crossed = tick.args[2] > tick.args[3];
    }
    return seen;
  },

  async account_summary() {
    const [reqId, found] = await app.ask("accountSummaryEnd", (id) =>
      app.api.reqAccountSummary(id, "All", "NetLiquidation,TotalCashValue"),
    );
    app.api.cancelAccountSummary(reqId);
    const rows = new Map(
      found.filter(({ name }) => name === "accountSummary").map(({ args }) => [args[2], args]),
    );
    const [, account, , value] = rows.get("NetLiquidation");
    return {
      tags: [...rows.keys()].sort(),
      account,
      near_the_start: Math.abs(Number(value) - 100_000) < 2_000,
    };
  },

  async pnl() {
    const [day, [account]] = await app.ask("pnl", (id) => app.api.reqPnL(id, ACCOUNT, ""));
    app.api.cancelPnL(day);
    const [one, [single]] = await app.ask("pnlSingle", (id) =>
      app.api.reqPnLSingle(id, ACCOUNT, "", conId),
    );
    app.api.cancelPnLSingle(one);
    const [, , , realised] = account.args;
    const [, position, , , , value] = single.args;
    return {
      realised_some: Math.abs(realised) < 2_000 && realised !== 0,
      position,
      near_market: nearMarket(value / position),
    };
  },

  async symbols() {
    const [, [found]] = await app.ask("symbolSamples", (id) => app.api.reqMatchingSymbols(id, "TSL"));
    const rows = found.args[1].map(({ contract }) => contract);
    return { con_ids: rows.filter(({ symbol }) => symbol === SYMBOL).map((row) => row.conId) };
  },

  async market_rule() {
    const mark = await app.listing("marketRule", () => app.api.reqMarketRule(26));
    const [, increments] = app.since(mark, "marketRule")[0].args;
    return { steps: increments.map(({ lowEdge, increment }) => [lowEdge, increment]) };
  },

  async option_chain() {
    const [, found] = await app.ask("securityDefinitionOptionParameterEnd", (id) =>
      app.api.reqSecDefOptParams(id, SYMBOL, "", "STK", conId),
    );
    const [, , underlying, , multiplier, expirations, strikes] = found[0].args;
    return {
      underlying,
      multiplier: String(multiplier),
      expirations: expirations.length > 0 && expirations.every((day) => day.length === 8),
      strikes_around_market: Math.min(...strikes) < 100 && 100 < Math.max(...strikes),
    };
  },

  async global_cancel() {
    const other = await new App(OTHER).start();
    const theirs = place(other, order("BUY", 1, "LMT", { lmtPrice: FAR_BELOW }));
    await other.status(theirs, "Submitted");
    const mark = other.mark();
    app.api.reqGlobalCancel();
    await other.status(theirs, "Cancelled", mark);
    await other.close();
    const listed = await app.listing("openOrderEnd", () => app.api.reqAllOpenOrders());
    return { orders_left: app.since(listed, "openOrder").length };
  },

  async reconnect() {
    const watcher = await new App(WATCHER).start();
    watcher.api.reqPositions();
    const before = (await watcher.wait("position")).args[2];
    const stop = { auxPrice: 99.2, tif: "GTC", orderRef: "away" };
    const away = place(app, order("SELL", 50, "STP", stop));
    const limit = { lmtPrice: 200, tif: "GTC", orderRef: "resting" };
    const resting = place(app, order("SELL", 10, "LMT", limit));
    const permIdOf = async (wanted) =>
      (await app.wait("openOrder", (id) => id === wanted)).args[2].permId;
    const [awayPermId, restingPermId] = [await permIdOf(away), await permIdOf(resting)];
    await app.close();
    await watcher.wait("position", (_account, _contract, size) => size === before - 50);
    await watcher.close();
    app = await new App(OWN).start();
    const mark = await app.listing("openOrderEnd", () => app.api.reqOpenOrders());
    // An order can be told twice: unasked on connect, and in the answer.
    const live = new Map(
      app.since(mark, "openOrder").map(({ args: [, , told] }) => [told.permId, told.orderRef]),
    );
    const [, found] = await app.ask("execDetailsEnd", (id) => app.api.reqExecutions(id, {}));
    const missed = found
      .filter(({ name, args }) => name === "execDetails" && args[2].orderRef === "away")
      .map(({ args }) => args[2]);
    const reports = await Promise.all(missed.map(({ execId }) => reportOf(execId)));
    app.api.reqPositions();
    return {
      live: [...live.values()],
      live_perm_id_kept: live.size === 1 && live.has(restingPermId),
      missed: sum(missed.map(({ shares }) => shares)),
      missed_perm_id_kept: missed.every(({ permId }) => permId === awayPermId),
      commissions: reports.every(({ currency }) => currency === "USD"),
      position_moved: (await app.wait("position")).args[2] - before,
      next_id_is_new: app.nextId > resting,
    };
  },

  async error_326() {
    const twin = new App(OWN);
    twin.api.connect();
    // What belongs to no request is an information to this library.
    const info = await twin.wait("info", (_text, code) => code === 326);
    await twin.wait("disconnected");
    return { code: info.args[1], first_lives: app.api.isConnected };
  },

  async error_103() {
    const mark = app.mark();
    app.api.placeOrder(entryId, stock(), order("BUY", 10, "LMT", { lmtPrice: FAR_BELOW }));
    return { code: await app.errorOf(entryId, mark) };
  },

  // What the library says of a message that it could not read, or not to its end.
  async all_understood() {
    const words = ["Decoding error", "Underrun error", "No parser"];
    return { complaints: complaints.filter((text) => words.some((word) => text.includes(word))) };
  },
};

for (const [step, run] of Object.entries(steps)) {
  let record;
  try {
    record = { step, ok: true, seen: await run() };
  } catch (error) {
    record = { step, ok: false, seen: {}, error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(record)}\n`);
  // Without a connection there is nothing more to try.
  if (step === "connect" && !record.ok) break;
}
if (app.api.isConnected) await app.close();
