#include "protocol/keys/access.hpp"

#include "protocol/keys/private_file.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/z85.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <sodium.h>
#include <vector>

namespace gristmill {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::string_view first_worker = "worker-1";

using Bytes32 = std::array<unsigned char, key_bytes>;
static_assert(crypto_box_PUBLICKEYBYTES == key_bytes && crypto_box_SECRETKEYBYTES == key_bytes);

std::string text_of(const Bytes32& key) {
  return z85_encode({reinterpret_cast<const char*>(key.data()), key.size()});
}

std::string hex(const unsigned char* bytes, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string random_hex(std::size_t bytes) {
  std::vector<unsigned char> random(bytes);
  randombytes_buf(random.data(), random.size());
  return hex(random.data(), random.size());
}

bool is_key(std::string_view text) {
  const auto bytes = z85_decode(text);
  return bytes && bytes->size() == key_bytes;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r";
  const auto first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

// The lines that say something, with their numbers.
std::vector<std::pair<int, std::string_view>> telling_lines(std::string_view text) {
  std::vector<std::pair<int, std::string_view>> lines;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    if (!line.empty() && line.front() != '#') lines.emplace_back(number, line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// A key file's values by name.
class KeyFile {
public:
  static Result<KeyFile> read(const std::string& path) {
    auto text = read_private_file(path);
    GRISTMILL_TRY(text);
    KeyFile file{path};
    for (const auto& [number, line] : telling_lines(*text)) {
      const auto equals = line.find('=');
      if (equals == std::string_view::npos)
        return fail(ErrorCode::bad_input,
                    fmt::format("{}:{}: expected `name = value`, got a line without `=`: write the "
                                "file anew with `gristmill keygen`",
                                path, number));
      file.values_.emplace(trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
    }
    return file;
  }

  std::string value(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::string{} : found->second;
  }
  Result<std::string> needed(std::string_view name) const {
    std::string found = value(name);
    if (found.empty())
      return fail(
          ErrorCode::bad_input,
          fmt::format("{}: expected a line `{} = …`, there is none: is this the right file?", path_,
                      name));
    return found;
  }
  Result<std::string> key(std::string_view name) const {
    auto found = needed(name);
    if (found && !is_key(*found))
      return fail(ErrorCode::bad_input,
                  fmt::format("{}: expected a key of 40 characters as {}, got {} characters that "
                              "are none: copy the file again",
                              path_, name, found->size()));
    return found;
  }
  Result<KeyPair> key_pair() const {
    auto secret = key("secret_key");
    GRISTMILL_TRY(secret);
    const std::string bytes = *z85_decode(*secret);
    Bytes32 public_key;
    crypto_scalarmult_base(public_key.data(), reinterpret_cast<const unsigned char*>(bytes.data()));
    return KeyPair{text_of(public_key), std::move(*secret)};
  }

private:
  explicit KeyFile(std::string path) : path_{std::move(path)} {}

  std::string path_;
  std::map<std::string, std::string, std::less<>> values_;
};

Result<> check_address(std::string_view address) {
  const auto colon = address.rfind(':');
  const bool tcp = address.starts_with("tcp://") && colon > 6 && colon + 1 < address.size();
  const std::string_view host = tcp ? address.substr(6, colon - 6) : std::string_view{};
  const bool somewhere = host != "*" && host != "0.0.0.0" &&
                         address.find_first_of(" \t\r\n;") == std::string_view::npos;
  if (tcp && somewhere && !address.ends_with(":0") && !address.ends_with(":*")) return {};
  return fail(ErrorCode::usage,
              fmt::format("expected the address at which workers reach the coordinator, such as "
                          "tcp://HOST:7411, got {}",
                          address));
}

std::string worker_lines(const WorkerAccess& access) {
  return fmt::format("cluster = {}\nname = {}\nserver_key = {}\nsecret_key = {}\n", access.cluster,
                     access.name, access.server_key, access.keys.secret_key);
}

} // namespace

KeyPair make_key_pair() {
  Bytes32 public_key, secret_key;
  if (sodium_init() < 0) throw std::runtime_error{"libsodium finds no source of randomness"};
  crypto_box_keypair(public_key.data(), secret_key.data());
  return {text_of(public_key), text_of(secret_key)};
}

Result<std::string> generate_keys(const std::string& directory, const std::string& address) {
  GRISTMILL_TRY(check_address(address));
  const KeyPair server = make_key_pair();
  const WorkerAccess worker{address, random_hex(16), std::string{first_worker}, server.public_key,
                            make_key_pair()};
  const std::vector<PrivateFile> files{
      {"coordinator.key", fmt::format("# The coordinator's own key. Nobody else needs this file.\n"
                                      "cluster = {}\nsecret_key = {}\n",
                                      worker.cluster, server.secret_key)},
      {"workers.allow", fmt::format("# Who may join: NAME PUBLIC_KEY. A change holds at once; a "
                                    "removed worker is cut off.\n{} {}\n",
                                    worker.name, worker.keys.public_key)},
      {"worker.key", "# One worker's key.\n" + worker_lines(worker)},
      {"worker.access", fmt::format("# All that one worker's machine needs.\naddress = {}\n{}",
                                    address, worker_lines(worker))},
      {"client.token", random_hex(32) + "\n"},
  };
  GRISTMILL_TRY(write_private_files(directory, files));
  return fmt::format("{0}: keys of cluster {1}\n"
                     "  coordinator  {2}   start it with --keys {0}\n"
                     "  {3}     {4}   copy {0}/worker.access to its machine\n"
                     "  clients      {0}/client.token\n",
                     directory, worker.cluster, fingerprint(server.public_key), worker.name,
                     fingerprint(worker.keys.public_key));
}

Result<CoordinatorKeys> read_coordinator_keys(const std::string& directory) {
  GRISTMILL_TRY(check_private_directory(directory));
  auto file = KeyFile::read(directory + "/coordinator.key");
  GRISTMILL_TRY(file);
  auto cluster = file->needed("cluster");
  GRISTMILL_TRY(cluster);
  auto keys = file->key_pair();
  GRISTMILL_TRY(keys);
  return CoordinatorKeys{std::move(*cluster), std::move(*keys), directory + "/workers.allow"};
}

Result<WorkerAccess> read_worker_access(const std::string& path) {
  std::error_code error;
  const bool directory = std::filesystem::is_directory(path, error);
  if (directory) GRISTMILL_TRY(check_private_directory(path));
  auto file = KeyFile::read(directory ? path + "/worker.key" : path);
  GRISTMILL_TRY(file);
  auto cluster = file->needed("cluster");
  GRISTMILL_TRY(cluster);
  auto name = file->needed("name");
  GRISTMILL_TRY(name);
  auto server_key = file->key("server_key");
  GRISTMILL_TRY(server_key);
  auto keys = file->key_pair();
  GRISTMILL_TRY(keys);
  return WorkerAccess{file->value("address"), std::move(*cluster), std::move(*name),
                      std::move(*server_key), std::move(*keys)};
}

Result<std::string> read_client_token(const std::string& file) {
  auto text = read_private_file(file);
  GRISTMILL_TRY(text);
  const auto lines = telling_lines(*text);
  if (lines.size() != 1 || lines.front().second.size() < 32)
    return fail(ErrorCode::bad_input, fmt::format("{}: expected one token of at least 32 "
                                                  "characters on a line of its own",
                                                  file));
  return std::string{lines.front().second};
}

Result<AllowedKeys> read_allowed_keys(const std::string& file) {
  auto text = read_private_file(file);
  GRISTMILL_TRY(text);
  AllowedKeys allowed;
  for (const auto& [number, line] : telling_lines(*text)) {
    const auto blank = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view name = line.substr(0, blank), key = trimmed(line.substr(blank));
    if (!is_key(key) || name.size() > limits::name_bytes_max)
      return fail(
          ErrorCode::bad_input,
          fmt::format("{}:{}: expected NAME and a public key of 40 characters", file, number));
    if (!allowed.emplace(key, name).second)
      return fail(ErrorCode::bad_input,
                  fmt::format("{}:{}: the key of {} stands here twice: one name for each key", file,
                              number, name));
  }
  return allowed;
}

std::string fingerprint(std::string_view public_key) {
  std::array<unsigned char, crypto_generichash_BYTES> hash;
  crypto_generichash(hash.data(), hash.size(),
                     reinterpret_cast<const unsigned char*>(public_key.data()), public_key.size(),
                     nullptr, 0);
  return hex(hash.data(), 8);
}

bool leaves_this_machine(std::string_view endpoint) {
  if (endpoint.starts_with("ipc://")) return false;
  if (!endpoint.starts_with("tcp://")) return true;
  const std::string host{endpoint.substr(6, endpoint.rfind(':') - 6)};
  in_addr address{};
  // A name such as 127.example.org is no loopback address, so the text itself is not looked at.
  const bool numeric = ::inet_pton(AF_INET, host.c_str(), &address) == 1;
  return host != "localhost" && !(numeric && ntohl(address.s_addr) >> 24 == 127);
}

} // namespace gristmill
