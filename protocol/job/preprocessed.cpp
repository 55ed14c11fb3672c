#include "protocol/job/preprocessed.hpp"

#include <nlohmann/json.hpp>

namespace gristmill {

using Json = nlohmann::ordered_json;

void add_preprocessed(Json& object, std::uint64_t items, const Preprocessed& all) {
  object["lines_read"] = items + all.dropped();
  object["dropped"] = {{"where", all.where}, {"empty", all.empty}, {"sample", all.sample}};
  object["normalised"] = all.normalised;
  object["mended"] = all.mended;
}

Preprocessed preprocessed_of(const Json& object) {
  const auto number = [](const Json& in, const char* name) {
    const auto it = in.find(name);
    return it != in.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
  };
  Preprocessed all;
  if (const auto dropped = object.find("dropped"); dropped != object.end()) {
    all.where = number(*dropped, "where");
    all.empty = number(*dropped, "empty");
    all.sample = number(*dropped, "sample");
  }
  all.normalised = number(object, "normalised");
  all.mended = number(object, "mended");
  return all;
}

} // namespace gristmill
