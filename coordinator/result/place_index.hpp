// PLACE INDEX: where the line of each item stands, 16 bytes an item in a file that has no name, so
// that it ends with its owner even by a kill. Answers come nearly in the order of the input, so the
// places that are touched lie together: a write-back cache of 4 MiB holds a window of 262,144 items
// and each page has one seat. Invariant: memory does not follow the items.
#pragma once

#include "actors/merger/merge_files.hpp"
#include "coordinator/disk/file_io.hpp"

#include <array>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace gristmill::coordinator {

class PlaceIndex {
public:
  // The file is created at `path`, which must not exist or be left from a kill, and is empty.
  static Result<PlaceIndex> create(const std::string& path);

  Result<> put(std::uint64_t item, merger::LinePlace place);
  Result<merger::LinePlace> get(std::uint64_t item); // bytes == 0 of an item that was never put

private:
  static constexpr std::size_t page_items = 256, seats = 1'024;
  static_assert(sizeof(merger::LinePlace) == 16);
  struct Page {
    std::uint64_t number = std::numeric_limits<std::uint64_t>::max();
    bool changed = false;
    std::array<merger::LinePlace, page_items> places;
  };

  PlaceIndex(std::string path, FileDescriptor file)
      : path_{std::move(path)}, file_{std::move(file)} {}
  Result<Page*> page_of(std::uint64_t item);
  Result<> write(const Page& page);
  Result<> read(std::uint64_t number, Page& page);

  std::string path_; // for messages
  FileDescriptor file_;
  std::vector<std::unique_ptr<Page>> pages_{seats};
};

} // namespace gristmill::coordinator
