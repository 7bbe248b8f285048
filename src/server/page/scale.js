// Where an axis of prices or amounts has words.

// Round values between `low` and `high`, about `count` of them: 1, 2 or 5 times a power of ten apart, and not less than `least`:
// words with so many places would say the same twice.
export function ticks(low, high, count, least = 0) {
  const rough = Math.max((high - low) / Math.max(count, 1), least);
  if (!(rough > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(rough) + 1e-9);
  // A least step that a float made a little longer than it is, is still that step.
  const step = [1, 2, 5, 10].find((it) => it * power >= rough * (1 - 1e-9)) * power;
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high; index += 1) found.push(index * step);
  return found;
}
