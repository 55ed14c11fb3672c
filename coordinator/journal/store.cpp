#include "coordinator/journal/store.hpp"

#include "coordinator/journal/file_blobs.hpp"
#include "coordinator/journal/sqlite_store.hpp"

#include <utility>

namespace gristmill::coordinator {

Result<Store> open_store(const std::string& state_directory, journal::JournalEvents events,
                         journal::Recovered& recovered, OpenBodies open_bodies) {
  SqliteStoreOptions options;
  options.open_bodies = std::move(open_bodies);
  options.directory = state_directory;
  auto opened = SqliteStore::open(std::move(options), std::move(events), recovered);
  GRISTMILL_TRY(opened);
  journal::LineStore* lines = opened->get();
  return Store{std::move(*opened), lines};
}

Result<std::shared_ptr<journal::BlobStore>> open_blobs(const std::string& state_directory) {
  return FileBlobs::open_in(state_directory);
}

} // namespace gristmill::coordinator
