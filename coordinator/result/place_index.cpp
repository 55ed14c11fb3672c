#include "coordinator/result/place_index.hpp"

#include <span>

namespace gristmill::coordinator {

using merger::LinePlace;

Result<PlaceIndex> PlaceIndex::create(const std::string& path) {
  auto file = open_file(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW);
  GRISTMILL_TRY(file);
  if (::unlink(path.c_str()) != 0) return tl::unexpected{disk_error("unlink", path)};
  return PlaceIndex{path, std::move(*file)};
}

Result<> PlaceIndex::put(std::uint64_t item, LinePlace place) {
  const auto page = page_of(item);
  GRISTMILL_TRY(page);
  (*page)->places[item % page_items] = place;
  (*page)->changed = true;
  return {};
}

Result<LinePlace> PlaceIndex::get(std::uint64_t item) {
  const auto page = page_of(item);
  GRISTMILL_TRY(page);
  return (*page)->places[item % page_items];
}

Result<PlaceIndex::Page*> PlaceIndex::page_of(std::uint64_t item) {
  const std::uint64_t number = item / page_items;
  auto& page = pages_[number % seats];
  if (!page) page = std::make_unique<Page>();
  if (page->number == number) return page.get();
  if (page->changed) GRISTMILL_TRY(write(*page));
  GRISTMILL_TRY(this->read(number, *page));
  return page.get();
}

Result<> PlaceIndex::write(const Page& page) {
  const auto bytes = std::as_bytes(std::span{page.places});
  return write_all_at(file_, page.number * bytes.size(),
                      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path_);
}

// What was never written, a hole or behind the end, is zero.
Result<> PlaceIndex::read(std::uint64_t number, Page& page) {
  page = {};
  const auto bytes = std::as_writable_bytes(std::span{page.places});
  const auto got = read_at(file_, number * bytes.size(),
                           {reinterpret_cast<char*>(bytes.data()), bytes.size()}, path_);
  GRISTMILL_TRY(got);
  page.number = number;
  return {};
}

} // namespace gristmill::coordinator
