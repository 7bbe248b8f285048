// Decimal text and exact integers. No price or quantity goes through a float on its way to text.

// More places than any venue has.
const PLACES = 18;
const ONE = 10n ** BigInt(PLACES);

// "86704.78000000" as an integer of 10^-18.
export function units(text) {
  const negative = text.startsWith("-");
  const [whole, fraction = ""] = (negative ? text.slice(1) : text).split(".");
  const value = BigInt(whole + fraction.slice(0, PLACES).padEnd(PLACES, "0"));
  return negative ? -value : value;
}

// The text of such an integer, with at least `least` places and no zero beyond them.
export function text(value, least) {
  const digits = (value < 0n ? -value : value).toString().padStart(PLACES + 1, "0");
  const whole = digits.slice(0, -PLACES);
  return (value < 0n ? "-" : "") + trim(`${whole}.${digits.slice(-PLACES)}`, least);
}

// A decimal text as it came, without the zeros at its end beyond `least` places. No other digit is ever cut.
export function trim(text, least) {
  const point = text.indexOf(".");
  if (point < 0) return text;
  let end = text.length;
  const shortest = least ? point + 1 + least : point;
  while (end > shortest && (text[end - 1] === "0" || text[end - 1] === ".")) {
    end -= 1;
    if (text[end] === ".") break;
  }
  return text.slice(0, end);
}

// Places of a tick such as "0.01000000".
export function places(tick) {
  const end = trim(tick, 0);
  return end.includes(".") ? end.length - end.indexOf(".") - 1 : 0;
}

// How much `now` is above `before`, in percent with two places and its sign; undefined without a base.
export function percent(now, before) {
  if (before === 0n) return undefined;
  return hundredths(ratio((now - before) * 10000n, before));
}

// a / b in hundredths, as text: 314 is "3.14".
export function hundredths(value) {
  const digits = (value < 0n ? -value : value).toString().padStart(3, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

// Rounded to the nearest, half away from zero. `b` is positive.
export function ratio(a, b) {
  return a < 0n ? -((-a + b / 2n) / b) : (a + b / 2n) / b;
}

// Integers of 10^-18 times integers of 10^-18.
export function product(a, b) {
  return (a * b) / ONE;
}

// Four leading digits or so, for figures that nobody reads to the end: "1.151B". What is little is not made nothing: "0.00123".
export function brief(text) {
  const little = text.match(/^0\.0*[1-9]\d{0,2}/);
  if (little) return trim(little[0], 0);
  const whole = text.split(".")[0].replace("-", "");
  if (whole.length <= 4) return trim(text.slice(0, whole.length + 3), 0);
  const steps = Math.min(Math.floor((whole.length - 1) / 3), 5);
  const head = whole.slice(0, whole.length - 3 * steps);
  const tail = whole.slice(head.length, head.length + Math.max(0, 4 - head.length));
  return `${head}${tail ? `.${tail}` : ""}${["", "K", "M", "B", "T", "Q"][steps]}`;
}

// A change with its direction: colour alone would not tell everyone.
export function arrow(text) {
  if (text === undefined) return "–";
  if (text.startsWith("-")) return `▼ ${text.replace("-", "−")} %`;
  return /[1-9]/.test(text) ? `▲ +${text} %` : `  ${text} %`;
}

export function direction(text) {
  if (text === undefined || !/[1-9]/.test(text)) return "flat";
  return text.startsWith("-") ? "down" : "up";
}
