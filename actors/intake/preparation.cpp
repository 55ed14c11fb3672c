#include "actors/intake/preparation.hpp"

#include "protocol/text/json_text.hpp"
#include "protocol/text/normal_text.hpp"

#include <array>
#include <fmt/format.h>
#include <sodium.h>
#include <utility>

namespace gristmill::intake {
namespace {

// The first 64 bits of the place's SHA-256.
std::uint64_t drawn_for(std::uint64_t seed, RecordPlace place) {
  const std::string name = fmt::format("{}:{}:{}", seed, place.input, place.line);
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(name.data()), name.size());
  std::uint64_t drawn = 0;
  for (std::size_t n = 0; n < sizeof drawn; ++n) drawn = drawn << 8 | hash[n];
  return drawn;
}

} // namespace

Preparation::Preparation(const JobSpec& spec)
    : normalise_{spec.shape.normalise},
      drop_empty_{spec.shape.drop_empty}, where_{spec.shape.where},
      text_field_{spec.shape.text_field}, sample_{spec.shape.sample}, seed_{
                                                                          spec.shape.sample_seed} {}

Preparation::Text Preparation::mended(std::string_view given) const {
  if (!normalise_ || json::is_utf8(given)) return {given};
  return {given, json::as_utf8(given), true};
}

Preparation::Text Preparation::object(std::string_view given, std::string_view id_field) const {
  Text object = mended(given);
  if (!normalise_) return object;
  if (auto normal = normal_object(object.text(), id_field)) object.made = std::move(normal);
  return object;
}

Preparation::Text Preparation::document(std::string_view given) const {
  Text document = mended(given);
  if (!normalise_) return document;
  if (auto normal = normal_text(document.text())) document.made = std::move(normal);
  return document;
}

Preparation::Fate Preparation::fate_of(bool taken, bool blank, RecordPlace place) const {
  if (!taken) return Fate::where;
  if (blank && drop_empty_) return Fate::empty;
  return is_in_sample(place) ? Fate::item : Fate::sample;
}

// Exactly: drawn < share * 2^64.
bool Preparation::is_in_sample(RecordPlace place) const {
  if (sample_.is_all()) return true;
  __extension__ using Wide = unsigned __int128;
  return Wide{drawn_for(seed_, place)} * Percentage::whole < Wide{sample_.millionths()} << 64;
}

} // namespace gristmill::intake
