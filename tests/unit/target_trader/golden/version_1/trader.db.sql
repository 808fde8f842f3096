BEGIN TRANSACTION;
CREATE TABLE bars (
	symbol VARCHAR NOT NULL, 
	time VARCHAR NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (symbol, time)
);
INSERT INTO "bars" VALUES('TSLA','2025-10-06T10:05:50-04:00','{"close":"445.25","high":"445.25","low":"445.25","open":"445.25","time":"2025-10-06T10:05:50-04:00","volume":"900"}');
CREATE TABLE bot_state (
	"key" VARCHAR NOT NULL, 
	value TEXT NOT NULL, 
	updated_at VARCHAR NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "bot_state" VALUES('version','1','2025-10-06T10:05:50-04:00');
INSERT INTO "bot_state" VALUES('day','"2025-10-06"','2025-10-06T10:05:50-04:00');
INSERT INTO "bot_state" VALUES('saved_at','"2025-10-06T10:05:50-04:00"','2025-10-06T10:05:50-04:00');
INSERT INTO "bot_state" VALUES('session','{"daily_pnl": "0", "entry_paths": {}, "filter_blocks": {"max_attempts": 1}, "start_time": "2025-10-06T10:05:50-04:00", "trades_today": 0}','2025-10-06T10:05:50-04:00');
INSERT INTO "bot_state" VALUES('halted','"the stored state is damaged, the attempts of today are unknown"','2025-10-06T10:05:50-04:00');
INSERT INTO "bot_state" VALUES('attempts','{"TSLA|LONG|444.77": 2}','2025-10-06T10:05:50-04:00');
INSERT INTO "bot_state" VALUES('breakouts','{"TSLA": {"armed_long": false, "armed_short": false, "bars_seen": 25, "breakout": {"bar_time": "2025-10-06T10:05:50-04:00", "bars_held": 3, "candle_close": "445.25", "kind": "STRONG", "price": "445.25", "side": "LONG", "volume_ratio": "1.75"}, "last_bar": "2025-10-06T10:05:50-04:00", "pending": "LONG"}}','2025-10-06T10:05:50-04:00');
INSERT INTO "bot_state" VALUES('checksum','cda1b7bacac3235319b2dd84f4d559b49c215c8a814409ae75c0b0379c0b378d','2025-10-06T10:05:50-04:00');
CREATE TABLE live_positions (
	trade_id VARCHAR NOT NULL, 
	symbol VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	quantity VARCHAR NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (trade_id)
);
INSERT INTO "live_positions" VALUES('PS60|TSLA|L|20251006|1','TSLA','PARTIAL','50','{"adjusted_shares":"0","baseline_price":"0","baseline_shares":"0","closed_shares":"50","contract":{"con_id":76792991,"currency":"USD","exchange":"SMART","symbol":"TSLA"},"entry_price":"0","entry_reason":"WEAK break","entry_time":"2025-10-06T10:05:50-04:00","initial_stop":"443.37","partial_price":"447.13","partials_taken":[{"price":"447.13","reason":"PARTIAL_50","shares":"50","time":"2025-10-06T10:05:50-04:00"}],"pivot":"444.77","planned_entry":"445.25","planned_shares":"100","realized_pnl":"0","remaining":"0.5","shares":"100","side":"LONG","signal_time":"2025-10-06T10:05:50-04:00","stop_order_id":12345,"stop_price":"445.25","symbol":"TSLA","target1":"460.25","target2":"470.50","trade_id":"PS60|TSLA|L|20251006|1"}');
CREATE TABLE order_intents (
	number INTEGER NOT NULL, 
	order_id INTEGER NOT NULL, 
	order_ref VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "order_intents" VALUES(0,12345,'PS60|TSLA|L|20251006|1|stop','working','{"action":"SELL","attempt_key":null,"client_id":0,"filled":"0","leg":"stop","limit_price":null,"oca_group":"","order_id":12345,"order_ref":"PS60|TSLA|L|20251006|1|stop","order_type":"STP","ordinal":1,"parent_id":0,"perm_id":1500000002,"planned_at":"2025-10-06T10:05:50-04:00","quantity":"50","side":"LONG","state":"working","stop_price":"445.25","symbol":"TSLA","tif":"GTC","trade_id":"PS60|TSLA|L|20251006|1","unknown_since":null}');
CREATE TABLE trades (
	exec_stem VARCHAR NOT NULL, 
	exec_id VARCHAR NOT NULL, 
	symbol VARCHAR NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (exec_stem)
);
INSERT INTO "trades" VALUES('0000e0d5.67fe667b.01','0000e0d5.67fe667b.01.01','TSLA','{"client_id":2001,"commission":"1.00","exec_id":"0000e0d5.67fe667b.01.01","leg":"entry","order_id":12344,"order_ref":"PS60|TSLA|L|20251006|1|entry","perm_id":1500000001,"price":"445.25","realized_pnl":null,"shares":"100","side":"BOT","symbol":"TSLA","time":"2025-10-06T10:05:50-04:00","trade_id":"PS60|TSLA|L|20251006|1"}');
COMMIT;
