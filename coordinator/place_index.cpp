#include "coordinator/place_index.hpp"

#include "coordinator/descriptor_reserve.hpp"
#include "coordinator/state_directory.hpp"

#include <cerrno>
#include <fcntl.h>
#include <span>

namespace gristmill::coordinator {

using merger::LinePlace;

Result<PlaceIndex> PlaceIndex::create(const std::string& path) {
  FileDescriptor file = open_file(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (!file) return tl::unexpected{disk_error("create", path)};
  if (::unlink(path.c_str()) != 0) return tl::unexpected{disk_error("unlink", path)};
  return PlaceIndex{path, std::move(file)};
}

Result<> PlaceIndex::put(std::uint64_t item, LinePlace place) {
  const auto page = page_of(item);
  if (!page) return tl::unexpected{page.error()};
  (*page)->places[item % page_items] = place;
  (*page)->changed = true;
  return {};
}

Result<LinePlace> PlaceIndex::get(std::uint64_t item) {
  const auto page = page_of(item);
  if (!page) return tl::unexpected{page.error()};
  return (*page)->places[item % page_items];
}

Result<PlaceIndex::Page*> PlaceIndex::page_of(std::uint64_t item) {
  const std::uint64_t number = item / page_items;
  auto& page = pages_[number % seats];
  if (!page) page = std::make_unique<Page>();
  if (page->number == number) return page.get();
  if (page->changed)
    if (auto written = write(*page); !written) return tl::unexpected{written.error()};
  if (auto read = this->read(number, *page); !read) return tl::unexpected{read.error()};
  return page.get();
}

Result<> PlaceIndex::write(const Page& page) {
  std::span<const std::byte> bytes = std::as_bytes(std::span{page.places});
  auto offset = static_cast<off_t>(page.number * bytes.size());
  while (!bytes.empty()) {
    const ssize_t size = ::pwrite(file_.get(), bytes.data(), bytes.size(), offset);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return tl::unexpected{disk_error("write", path_)};
    bytes = bytes.subspan(static_cast<std::size_t>(size));
    offset += size;
  }
  return {};
}

// What was never written, a hole or behind the end, is zero.
Result<> PlaceIndex::read(std::uint64_t number, Page& page) {
  page = {};
  std::span<std::byte> bytes = std::as_writable_bytes(std::span{page.places});
  auto offset = static_cast<off_t>(number * bytes.size());
  while (!bytes.empty()) {
    const ssize_t size = ::pread(file_.get(), bytes.data(), bytes.size(), offset);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return tl::unexpected{disk_error("read", path_)};
    if (size == 0) break;
    bytes = bytes.subspan(static_cast<std::size_t>(size));
    offset += size;
  }
  page.number = number;
  return {};
}

} // namespace gristmill::coordinator
