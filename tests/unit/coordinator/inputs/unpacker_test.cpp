// Compressed files as the bytes in them, in bounded memory, and what is wrong with the others.
#include "coordinator/inputs/file_source.hpp"
#include "coordinator/inputs/unpacker.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <zlib.h>
#include <zstd.h>

namespace unpacker_test {

using namespace gristmill;
using namespace gristmill::coordinator;

namespace fs = std::filesystem;

namespace {

std::string gzipped(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstded(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> packer{ZSTD_createCCtx(),
                                                                       ZSTD_freeCCtx};
  ZSTD_CCtx_setParameter(packer.get(), ZSTD_c_checksumFlag, 1); // as the command does
  out.resize(ZSTD_compress2(packer.get(), out.data(), out.size(), text.data(), text.size()));
  return out;
}

// All that is in it, or "error: …".
std::string unpacked(const std::string& packed, std::size_t piece, std::string_view name = "a") {
  const auto packing = packing_of(name, std::string_view{packed}.substr(0, 16));
  if (!packing) return "error: " + packing.error().message;
  REQUIRE(*packing != Packing::none);
  std::size_t at = 0;
  const auto unpacker = Unpacker::open(*packing, [&](std::span<char> into) -> Result<std::size_t> {
    const std::size_t n = std::min({into.size(), packed.size() - at, piece});
    std::memcpy(into.data(), packed.data() + at, n);
    at += n;
    return n;
  });
  std::string all, bytes(piece * 3 + 1, '\0');
  for (;;) {
    const auto got = unpacker->next(bytes);
    if (!got) return "error: " + got.error().message;
    if (*got == 0) return all;
    all.append(bytes, 0, *got);
  }
}

std::string text_of(std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += fmt::format("line {}\n", text.size() * 2'654'435'761u);
  text.resize(bytes);
  return text;
}

struct Directory {
  fs::path path;
  Directory() {
    std::string name = fs::temp_directory_path() / "gristmill-unpack-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Directory() { fs::remove_all(path); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream{path / name, std::ios::binary} << bytes;
    return path / name;
  }
  Result<std::unique_ptr<intake::ByteSource>> open(const std::vector<std::string>& paths) const {
    std::vector<InputSpec> inputs;
    for (const auto& file : paths) inputs.push_back({file, fs::path{file}.filename()});
    return FileSource::open(inputs, path);
  }
};

std::string read_all(intake::ByteSource& source, std::uint32_t input, std::uint64_t from = 0) {
  std::string all, bytes(10'000, '\0');
  for (;;) {
    const auto got = source.read(input, from + all.size(), bytes);
    REQUIRE(got);
    if (*got == 0) return all;
    all.append(bytes, 0, *got);
  }
}

} // namespace

TEST_CASE("gzip and zstd give back what was packed, however it is cut and joined") {
  const std::size_t size = GENERATE(0, 1, 1'000, 300'000), piece = GENERATE(1, 999, 1'000'000);
  const std::string text = text_of(size);
  const bool gzip = GENERATE(true, false);
  const auto pack = [&](const std::string& t) { return gzip ? gzipped(t) : zstded(t); };
  CHECK(unpacked(pack(text), piece) == text);
  CHECK(unpacked(pack(text) + pack("") + pack("more"), piece) == text + "more");
  if (gzip) CHECK(unpacked(pack(text) + std::string(512, '\0'), piece) == text);
}

TEST_CASE("a cut or damaged file is an error and not a shorter file") {
  const bool gzip = GENERATE(true, false);
  const std::string packed = gzip ? gzipped(text_of(5'000)) : zstded(text_of(5'000));
  const std::size_t piece = GENERATE(1, 100'000);
  for (const std::size_t kept : {packed.size() - 1, packed.size() / 2, std::size_t{5}})
    CHECK(unpacked(packed.substr(0, kept), piece).find("a file that is cut") != std::string::npos);
  std::string damaged = packed;
  for (std::size_t at = packed.size() / 2; at < packed.size() / 2 + 20; ++at) damaged[at] ^= 0x55;
  CHECK(unpacked(damaged, piece).starts_with("error: expected"));
  CHECK(unpacked(packed + "rubbish", piece).find("damaged") != std::string::npos);
}

TEST_CASE("a zstd file may ask for a window of 128 MiB, and for no more memory than that") {
  const auto frame = [](int window_log) {
    std::string bytes{"\x28\xb5\x2f\xfd", 4};
    bytes += '\0';                                      // a window and nothing else is stated
    bytes += static_cast<char>((window_log - 10) << 3); // … and this one
    bytes += std::string{"\x09\0\0", 3};                // one byte as it is, the last block
    return bytes + 'x';
  };
  CHECK(unpacked(frame(27), 100) == "x");
  CHECK(unpacked(frame(28), 100).starts_with("error: expected zstd data"));
  CHECK(unpacked(frame(31), 100).starts_with("error: expected zstd data"));
}

TEST_CASE("a name that promises packing is kept to it") {
  CHECK(packing_of("a.jsonl.gz", "{\"id\"").error().message.find("rename") != std::string::npos);
  CHECK(packing_of("a.zst", "").error().message.find("an empty file") != std::string::npos);
  CHECK(packing_of("a.zst", gzipped("x")).has_value() == false);
  CHECK(packing_of("a.jsonl", gzipped("x")).value() == Packing::gzip);
  CHECK(packing_of("a.jsonl", "{").value() == Packing::none);
}

TEST_CASE("a packed input is read at any place and again, also when others were read since") {
  const Directory directory;
  std::vector<std::string> paths, texts;
  for (int i = 0; i < 20; ++i) {
    texts.push_back(text_of(100'000 + static_cast<std::size_t>(i)));
    const bool gzip = i % 2 == 0;
    paths.push_back(directory.write(fmt::format("{}.txt.{}", i, gzip ? "gz" : "zst"),
                                    gzip ? gzipped(texts.back()) : zstded(texts.back())));
  }
  auto source = directory.open(paths);
  REQUIRE(source);
  for (std::uint32_t i = 0; i < paths.size(); ++i) {
    CHECK(read_all(**source, i) == texts[i]);
    CHECK(read_all(**source, i / 2, 50'000) == texts[i / 2].substr(50'000));
  }
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator{directory.path}) files += entry.is_regular_file();
  CHECK(files == paths.size()); // what is unpacked has no name
}

TEST_CASE("a cut archive fails the reading with its name") {
  const Directory directory;
  auto source =
      directory.open({directory.write("a.jsonl.gz", gzipped(text_of(9'000)).substr(0, 90))});
  REQUIRE(source);
  std::string bytes(100'000, '\0');
  const auto got = (*source)->read(0, 0, bytes);
  REQUIRE_FALSE(got);
  CHECK(got.error().code == ErrorCode::bad_input);
  CHECK(got.error().message.find("a.jsonl.gz: ") != std::string::npos);
}

TEST_CASE("what a small file unpacks to is not kept in memory") {
  const Directory directory;
  std::string packed;
  const std::string zeros = gzipped(std::string(8u << 20, 'x'));
  for (int i = 0; i < 32; ++i) packed += zeros; // 256 MiB
  auto source = directory.open({directory.write("bomb.txt.gz", packed)});
  REQUIRE(source);
  JobSpec spec;
  intake::Intake intake{spec, **source, {}};
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto item = intake.next();
  REQUIRE(item);
  CHECK((*item)->bad.find("at most 16777216 bytes") != std::string::npos);
  std::string bytes(1000, '\0');
  CHECK((*source)->read(0, (256u << 20) - 500, bytes).value() == 500);
  ::getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 80 * 1'024); // KiB: a document at the limit, twice
}

TEST_CASE("many inputs stand in a list that must stay as it was") {
  const Directory directory;
  std::string text;
  std::vector<std::string> paths;
  for (int i = 0; i < 130; ++i) {
    paths.push_back(directory.write(fmt::format("{}.txt", i), fmt::format("text {}", i)));
    text += to_json(InputSpec{paths.back(), fmt::format("{}.txt", i), 0, 0}) + "\n";
  }
  const InputSpec list{directory.write("list", text), "130 files", text.size(), 0, 130,
                       digest_of_list(text)};
  auto source = FileSource::open({list}, directory.path);
  REQUIRE(source);
  REQUIRE((*source)->input_count() == 130);
  for (const std::uint32_t i : {0u, 129u, 63u, 64u, 128u, 1u}) {
    CHECK((*source)->name_of(i).value() == fmt::format("{}.txt", i));
    CHECK(read_all(**source, i) == fmt::format("text {}", i));
  }
  directory.write("list", text + "x");
  const auto changed = FileSource::open({list}, directory.path);
  REQUIRE_FALSE(changed);
  CHECK(changed.error().message.find("began with") != std::string::npos);
}

TEST_CASE("an input may be a piece of a file, packed or not, and reads nothing around it") {
  const Directory directory;
  const std::string packed = gzipped(text_of(5'000));
  const std::string file = directory.write("pack", "head\n" + text_of(300) + packed + "secret");
  std::vector<InputSpec> inputs{{file, "a.txt"}, {file, "b.txt.gz"}, {file, "none.txt"}};
  inputs[0].offset = 5;
  inputs[0].bytes = 300;
  inputs[1].offset = 305;
  inputs[1].bytes = packed.size();
  inputs[2].offset = 305 + packed.size();
  auto source = FileSource::open(inputs, directory.path);
  REQUIRE(source);
  CHECK(read_all(**source, 0) == text_of(300));
  CHECK(read_all(**source, 0, 299).size() == 1);
  CHECK(read_all(**source, 0, 300).empty());
  CHECK(read_all(**source, 0, 301).empty());
  CHECK(read_all(**source, 1) == text_of(5'000));
  CHECK(read_all(**source, 2).empty());
}

TEST_CASE("a piece must be within its file") {
  const Directory directory;
  const auto [offset, bytes, good] = GENERATE(table<std::uint64_t, std::uint64_t, bool>({
      {1, 9, true},
      {1, 10, false},
      {10, 0, true},
      {11, 0, false},
      {~std::uint64_t{0}, 1, false},
      {1, ~std::uint64_t{0}, false},
  }));
  InputSpec input{directory.write("pack", "0123456789"), "a.txt"};
  input.offset = offset;
  input.bytes = bytes;
  CAPTURE(offset, bytes);
  CHECK(FileSource::open({input}, directory.path).has_value() == good);
}

} // namespace unpacker_test
