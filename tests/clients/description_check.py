"""The documents of /docs: valid by the standards' own schemas, and live bodies and frames of every kind valid by them."""

import asyncio
import json
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request

import websockets
from jsonschema import Draft202012Validator, validators
from openapi_spec_validator import OpenAPIV31SpecValidator

import market

SYMBOL, OTHER = "BTCUSDT", "ETHUSDT"
# AsyncAPI's own schema, where npm put it.
STANDARD = pathlib.Path(os.environ["TICKCAST_NODE_MODULES"]) / "@asyncapi/specs/schemas/3.0.0.json"
# The simulated exchange has none, and what a venue does not send is not made up.
NEVER_SENT = {"blockTrade"}


def fetch(path, headers=None):
    request = urllib.request.Request(f"http://{market.ADDRESS}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=market.PATIENCE_S) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, refusal.read()


def document(path):
    status, headers, body = fetch(path)
    market.demand(status == 200 and headers["Content-Type"] == "application/json;charset=UTF-8", f"{path}: {status}")
    return json.loads(body)


def is_valid(validator, what):
    wrong = [f"{error.json_path}: {error.message[:300]}" for error in validator]
    market.demand(not wrong, f"{what}: {wrong[:3]}")


def resolve(doc, node):
    while "$ref" in node:
        target = doc
        for key in node["$ref"][2:].split("/"):
            target = target[key.replace("~1", "/")]
        node = target
    return node


class Schema:
    """One schema of a document; an object's keys also have to come in the order that `required` lists."""

    def __init__(self, doc, schema):
        self.doc, self.schema = doc, schema
        self.validator = Draft202012Validator({**schema, "components": doc["components"]})

    def demand(self, value, what):
        is_valid(self.validator.iter_errors(value), f"{what}: {json.dumps(value)[:600]}")
        self.demand_order(value, self.schema, what)

    def demand_order(self, value, schema, what):
        schema = resolve(self.doc, schema)
        for choice in schema.get("oneOf", []):
            if Draft202012Validator({**choice, "components": self.doc["components"]}).is_valid(value):
                self.demand_order(value, choice, what)
        if isinstance(value, dict) and "properties" in schema:
            wire = [key for key in value if key in schema.get("required", ())]
            order = [key for key in schema.get("required", ()) if key in value]
            market.demand(wire == order, f"{what}: keys in the order {wire}, not {order}")
            for key, part in schema["properties"].items():
                if key in value:
                    self.demand_order(value[key], part, what)
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            for part in value:
                self.demand_order(part, schema["items"], what)


def standards():
    """Both documents by the schemas of those who define them; and that these schemas refuse anything at all."""
    openapi, asyncapi = document("/docs/openapi.json"), document("/docs/asyncapi.json")
    is_valid(OpenAPIV31SpecValidator(openapi).iter_errors(), "openapi.json")
    standard = json.loads(STANDARD.read_text(encoding="utf-8"))
    by_standard = validators.validator_for(standard)(standard)
    is_valid(by_standard.iter_errors(asyncapi), "asyncapi.json")
    market.demand(not by_standard.is_valid({**asyncapi, "channels": {"x": {"address": 5}}}), "the standard refuses nonsense")
    market.demand(list(OpenAPIV31SpecValidator({**openapi, "info": {}}).iter_errors()), "the standard refuses nonsense")
    market.demand(openapi["servers"][0]["url"] == f"http://{market.ADDRESS}", f"servers: {openapi['servers']}")
    market.demand(asyncapi["servers"]["raw"]["host"] == market.ADDRESS, f"servers: {asyncapi['servers']}")
    for name, message in asyncapi["components"]["messages"].items():
        for example in message.get("examples", []):
            Schema(asyncapi, message["payload"]).demand(example["payload"], f"the example of {name}")
    status, headers, page = fetch("/docs")
    market.demand(status == 200 and headers["Content-Type"].startswith("text/html") and b"<main>" in page, "the page")
    return openapi, asyncapi


def queries(parameters):
    """What to ask an endpoint for: each way to name symbols, each type, both units elsewhere."""
    given = {it["name"]: it["example"] for it in parameters if "example" in it and it["name"] not in ("symbol", "symbols")}
    named = {it["name"]: it for it in parameters}
    ways = [{}]
    if "symbol" in named:
        ways = [{"symbol": SYMBOL}] + ([] if named["symbol"].get("required") else [{"symbols": f'["{SYMBOL}","{OTHER}"]'}])
    if "type" in named:
        ways = [{**way, "type": kind} for way in ways for kind in ("FULL", "MINI")]
    return [{**given, **way} for way in ways]


def over_rest(openapi):
    bodies = 0
    error = Schema(openapi, {"$ref": "#/components/schemas/Error"})
    for path, item in openapi["paths"].items():
        get = item["get"]
        parameters = [resolve(openapi, it) for it in get["parameters"]]
        parameters = [it for it in parameters if it["in"] == "query"]
        schema = Schema(openapi, get["responses"]["200"]["content"]["application/json"]["schema"])
        for query in queries(parameters):
            for unit in ("MILLISECOND", "MICROSECOND"):
                target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
                status, headers, body = fetch(target, {"X-MBX-TIME-UNIT": unit})
                body = json.loads(body)
                if path.endswith("/referencePrice") and status == 400:
                    # A recording may hold none.
                    market.demand(body["code"] == -2043 and not market.IS_LIVE, f"{target}: {body}")
                    error.demand(body, target)
                    continue
                market.demand(status == 200, f"{target}: {status} {body}")
                market.demand(body not in ([], {}) or path.endswith("/ping"), f"{target} is empty")
                schema.demand(body, target)
                for header in get["responses"]["200"]["headers"]:
                    market.demand(headers[header] is not None, f"{target} has no {header}")
                bodies += 1
        if any(it["name"] == "symbol" for it in parameters):
            status, _, body = fetch(f"{path}?symbol=NOTHERE&interval=1m")
            market.demand(status == 400, f"{path} of an unknown symbol: {status}")
            error.demand(json.loads(body), path)
    return bodies


def stream_names(asyncapi):
    """Every name that a channel of JSON stands for, with the channel's key and its message."""
    for key, channel in asyncapi["channels"].items():
        if not channel["address"] or {"$ref": "#/servers/sbe"} in channel["servers"]:
            continue
        message = resolve(asyncapi, next(iter(channel["messages"].values())))
        names = {channel["address"].replace("{symbol}", SYMBOL.lower())}
        for name, parameter in channel.get("parameters", {}).items():
            for value in resolve(asyncapi, parameter).get("enum", []):
                names |= {it.replace(f"{{{name}}}", value, 1) for it in names if f"{{{name}}}" in it}
        yield from ((it, key, message) for it in names if "{" not in it)


async def over_websocket(asyncapi, unit):
    """Hears every stream by name until it has spoken, and holds all that is heard against the schemas."""
    streams = {name: (key, Schema(asyncapi, message["payload"])) for name, key, message in stream_names(asyncapi)}
    wrapper = Schema(asyncapi, {"$ref": "#/components/schemas/Combined"})
    reply = Schema(asyncapi, {"$ref": "#/components/schemas/ControlReply"})
    silent = {name for name, (key, _) in streams.items() if key not in NEVER_SENT}
    heard = 0
    url = f"ws://{market.ADDRESS}/stream?timeUnit={unit}"
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": list(streams), "id": 7}))
        deadline = asyncio.get_running_loop().time() + market.PATIENCE_S
        while silent:
            left = deadline - asyncio.get_running_loop().time()
            market.demand(left > 0, f"streams that said nothing within {market.PATIENCE_S} s: {sorted(silent)}")
            try:
                frame = json.loads(await asyncio.wait_for(socket.recv(), left))
            except asyncio.TimeoutError:
                continue
            if "stream" not in frame:
                reply.demand(frame, "the reply")
                continue
            wrapper.demand(frame, "the wrapper")
            streams[frame["stream"]][1].demand(frame["data"], frame["stream"])
            silent.discard(frame["stream"])
            heard += 1
        await errors(asyncapi, socket)
    return len(streams), heard


async def errors(asyncapi, socket):
    """Replies that refuse, on a connection that goes on."""
    schema = Schema(asyncapi, {"$ref": "#/components/schemas/ControlError"})
    for request in ({"method": "FOO", "params": [], "id": 8}, {"method": "SET_PROPERTY", "params": ["x", True], "id": 9}):
        await socket.send(json.dumps(request))
        while "stream" in (frame := json.loads(await asyncio.wait_for(socket.recv(), market.PATIENCE_S))):
            pass
        schema.demand(frame, f"the refusal of {request}")


async def over_api(asyncapi):
    """Every method of the WS-API: the same result as its twin, or a refusal of the described shape."""
    schemas = {name: Schema(asyncapi, {"$ref": f"#/components/schemas/{name}"}) for name in ("ApiReply", "ApiError")}
    methods = asyncapi["components"]["schemas"]["ApiRequest"]["properties"]["method"]["enum"]
    async with websockets.connect(f"ws://{market.ADDRESS}/ws-api/v3", max_size=None) as socket:
        for number, method in enumerate(methods):
            if number % 4 == 3:
                # Five messages a second.
                await asyncio.sleep(1)
            params = {} if method in ("ping", "time") else {"symbol": SYMBOL}
            if method.lower().endswith("klines"):
                params["interval"] = "1m"
            await socket.send(json.dumps({"id": f"m-{number}", "method": method, "params": params}))
            answer = json.loads(await asyncio.wait_for(socket.recv(), market.PATIENCE_S))
            market.demand(answer["id"] == f"m-{number}", f"{method}: {answer}")
            if answer["status"] == 200:
                schemas["ApiReply"].demand(answer, method)
            else:
                market.demand(method == "referencePrice" and not market.IS_LIVE, f"{method}: {answer}")
        await asyncio.sleep(1)
        await socket.send(json.dumps({"id": None, "method": "depth", "params": {"symbol": "NOTHERE"}}))
        refusal = json.loads(await asyncio.wait_for(socket.recv(), market.PATIENCE_S))
        market.demand(refusal["status"] == 400 and refusal["error"]["code"] == -1121, f"{refusal}")
        schemas["ApiError"].demand(refusal, "a refusal")
    return len(methods)


async def main():
    documents = standards()
    market.wait_for_books([SYMBOL, OTHER])
    market.wait_for_history(SYMBOL)
    names, heard = await over_websocket(documents[1], "MILLISECOND")
    bodies = over_rest(documents[0])
    more = (await over_websocket(documents[1], "MICROSECOND"))[1] if market.IS_LIVE else 0
    methods = await over_api(documents[1])
    print(
        f"description: both documents are valid; {bodies} live bodies, {heard + more} frames of {names} streams and "
        f"{methods} methods are as described"
    )


asyncio.run(main())
