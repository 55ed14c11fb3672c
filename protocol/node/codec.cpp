#include "protocol/node/codec.hpp"

#include "protocol/job/named.hpp"
#include "protocol/node/msgpack_reader.hpp"
#include "protocol/node/wire_fields.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <msgpack.hpp>
#include <type_traits>
#include <utility>

namespace gristmill::protocol {
namespace {

using namespace wire;

constexpr std::uint32_t one_message_elements = 7;
constexpr std::uint32_t elements_max = one_message_elements + 2 * (limits::frame_messages_max - 1);

template <class T>
concept Number = std::is_integral_v<T>;
template <class T>
concept Enumeration = std::is_enum_v<T> && !NamedEnum<T>;
template <class T>
concept Identifier = std::is_constructible_v<bool, T> && requires(T id) {
  id.value;
};
template <class T>
concept List = !std::is_same_v<T, std::string> && requires {
  typename T::value_type;
};

// What text may be.

bool has_controls(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_proper(std::string_view text, Rule rule) {
  return json::is_utf8(text) && !(rule == Rule::name && has_controls(text));
}

// Out.

struct Bytes {
  std::string& text;
  void write(const char* data, std::size_t size) { text.append(data, size); }
};
using Packer = msgpack::packer<Bytes>;

void pack_text(Packer& out, std::string_view text) {
  out.pack_str(static_cast<std::uint32_t>(text.size()));
  out.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
}

void write(Packer& out, const std::string& value, Rule rule) {
  if (is_opaque(rule)) {
    out.pack_bin(static_cast<std::uint32_t>(value.size()));
    out.pack_bin_body(value.data(), static_cast<std::uint32_t>(value.size()));
  } else if (value.size() <= bytes_max(rule) && is_proper(value, rule)) {
    pack_text(out, value);
  } else {
    // A model's name or a server's error text comes from far away; it must not make a frame that
    // the other side would refuse for ever.
    pack_text(out, json::printable(value, bytes_max(rule)));
  }
}

// There is one of each item, and what is not there has its default for whoever reads. Others are
// few, and a reader takes no more memory for what it is sent than a multiple of its bytes.
template <class T>
constexpr bool leaves_out_defaults =
    std::is_same_v<T, Outcome> || std::is_same_v<T, Usage> || std::is_same_v<T, PartId> ||
    std::is_same_v<T, PlannedCall> || std::is_same_v<T, PlannedPart> || std::is_same_v<T, Permit>;

template <class T> void write(Packer& out, const T& value, Rule rule = Rule::plain) {
  if constexpr (Number<T>) {
    out.pack(value);
  } else if constexpr (NamedEnum<T>) {
    pack_text(out, name_of(value));
  } else if constexpr (Enumeration<T>) {
    out.pack(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (Identifier<T>) {
    out.pack(value.value);
  } else if constexpr (List<T>) {
    out.pack_array(static_cast<std::uint32_t>(value.size()));
    for (const auto& element : value) write(out, element, rule);
  } else {
    static const T unset{};
    const auto is_said = [&](const auto& field) {
      return !leaves_out_defaults<T> || field.essential || !(field.of(value) == field.of(unset));
    };
    std::apply(
        [&](const auto&... field) {
          out.pack_map((std::uint32_t{0} + ... + std::uint32_t{is_said(field)}));
          ((is_said(field) ? (pack_text(out, field.key), write(out, field.of(value), field.rule))
                           : void()),
           ...);
        },
        fields<T>);
  }
}

// In.

bool read(MsgpackReader& in, std::string& value, Rule rule) {
  std::string_view view;
  if (is_opaque(rule)) {
    if (!in.opaque(view, bytes_max(rule))) return false;
  } else {
    if (!in.text(view, bytes_max(rule))) return false;
    if (!is_proper(view, rule))
      return in.fail("expected UTF-8, in a name without controls, got other text");
  }
  value = view;
  return true;
}

template <Number T> bool read(MsgpackReader& in, T& value, Rule) {
  if constexpr (std::is_same_v<T, bool>) {
    return in.boolean(value);
  } else if constexpr (std::is_signed_v<T>) {
    static_assert(std::is_same_v<T, std::int64_t>);
    return in.integer(value);
  } else {
    std::uint64_t wide = 0;
    if (!in.natural(wide, std::numeric_limits<T>::max())) return false;
    value = static_cast<T>(wide);
    return true;
  }
}

template <Enumeration T> bool read(MsgpackReader& in, T& value, Rule) {
  std::uint64_t wide = 0;
  constexpr auto first = static_cast<std::uint64_t>(range<T>.first);
  if (!in.natural(wide, static_cast<std::uint64_t>(range<T>.second))) return false;
  if (wide < first) return in.fail(fmt::format("expected a number from {}, got {}", first, wide));
  value = static_cast<T>(wide);
  return true;
}

template <NamedEnum T> bool read(MsgpackReader& in, T& value, Rule) {
  std::string_view name;
  if (!in.text(name, limits::name_bytes_max)) return false;
  const auto known = named<T>(name);
  if (!known) return in.fail(fmt::format("expected {}, got another name", list_of_names<T>()));
  value = *known;
  return true;
}

template <Identifier T> bool read(MsgpackReader& in, T& id, Rule rule) {
  return read(in, id.value, rule);
}

template <class T> bool is_set(const T& value) {
  if constexpr (List<T>)
    return !value.empty();
  else if constexpr (Number<T> || Identifier<T>)
    return static_cast<bool>(value);
  else
    return true;
}

template <class T> bool read(MsgpackReader& in, T& value, Rule rule);

template <List T> bool read(MsgpackReader& in, T& list, Rule rule) {
  using Element = typename T::value_type;
  std::uint32_t count = 0;
  if (!in.array(count, sizeof(Element))) return false;
  list.reserve(count);
  for (; count > 0; --count) {
    Element& element = list.emplace_back();
    if (!read(in, element, rule)) return false;
    if constexpr (Identifier<Element>)
      if (!element) return in.fail("expected an id, got 0");
  }
  in.leave();
  return true;
}

// Calls `ask(field, bit)` for the fields in turn, until one says true.
template <class T, class Ask> bool any_field(Ask ask) {
  return std::apply(
      [&](const auto&... field) {
        std::uint64_t bit = 1;
        return (ask(field, std::exchange(bit, bit << 1)) || ...);
      },
      fields<T>);
}

template <class T>
bool read_fields(MsgpackReader& in, T& value, std::uint32_t keys, std::uint64_t& seen) {
  std::vector<std::string_view> unknown;
  for (; keys > 0; --keys) {
    std::string_view key;
    if (!in.text(key, limits::name_bytes_max)) return false;
    const std::uint64_t word = word_of(key);
    bool good = false;
    const bool known = any_field<T>([&](const auto& field, std::uint64_t bit) {
      if (word != field.word) return false;
      in.reading(field.key);
      good = (seen & bit) == 0 ? read(in, field.of(value), field.rule)
                               : in.fail("expected each key once, got one twice");
      seen |= bit;
      return true;
    });
    if (!known) {
      good = std::find(unknown.begin(), unknown.end(), key) == unknown.end()
                 ? in.skip()
                 : in.fail("expected each key once, got an unknown one twice");
      unknown.push_back(key);
    }
    if (!good) return false;
  }
  return true;
}

template <class T> bool read(MsgpackReader& in, T& value, Rule) {
  std::uint32_t keys = 0;
  std::uint64_t seen = 0;
  if (!in.map(keys) || !read_fields(in, value, keys, seen)) return false;
  in.leave();
  return !any_field<T>([&](const auto& field, std::uint64_t bit) {
    if (!field.essential || ((seen & bit) != 0 && is_set(field.of(value)))) return false;
    in.reading(field.key);
    return !in.fail("expected a value, got none, 0 or an empty list");
  });
}

template <std::size_t... I>
bool read_body(MsgpackReader& in, std::uint64_t number, Message& message,
               std::index_sequence<I...>) {
  bool good = false;
  const bool known = ((number == tag<std::variant_alternative_t<I, Message>>
                           ? (good = read(in, message.emplace<I>(), Rule::plain), true)
                           : false) ||
                      ...);
  return known ? good : in.fail(fmt::format("expected the tag of a message, got {}", number));
}

// Hello and Refused settle the version, so they are read whatever theirs is.
bool version_fits(std::uint16_t version, std::uint64_t number) {
  return number == tag<Hello> || number == tag<Refused> ||
         (version >= version_min && version <= version_max);
}

bool read_message(MsgpackReader& in, std::uint64_t number, Frame& frame, Direction direction) {
  if ((number < first_coordinator_tag) != (direction == Direction::from_worker))
    return in.fail(fmt::format("expected a message of the other side, got tag {}", number));
  constexpr auto all = std::make_index_sequence<std::variant_size_v<Message>>{};
  return read_body(in, number, frame.messages.emplace_back(), all);
}

bool read_frame(MsgpackReader& in, Frame& frame, Direction direction) {
  std::uint32_t elements = 0;
  std::uint64_t number = 0;
  if (!in.array(elements, 0)) return false;
  if (elements < one_message_elements || elements > elements_max || elements % 2 == 0)
    return in.fail(
        fmt::format("expected an envelope of {}, or up to {} for further messages, got {}",
                    one_message_elements, elements_max, elements));
  if (!read(in, frame.version, Rule::plain) || !in.natural(number, UINT64_MAX)) return false;
  if (!version_fits(frame.version, number))
    return in.fail(fmt::format("expected protocol version {} to {}, got {}: install the same "
                               "release on both sides",
                               version_min, version_max, frame.version));
  if (!read(in, frame.epoch, Rule::plain) || !read(in, frame.session, Rule::plain) ||
      !read(in, frame.seq, Rule::plain) || !read(in, frame.ack, Rule::plain))
    return false;
  frame.messages.reserve(1 + (elements - one_message_elements) / 2);
  if (!read_message(in, number, frame, direction)) return false;
  for (; elements > one_message_elements; elements -= 2)
    if (!in.natural(number, UINT64_MAX) || !read_message(in, number, frame, direction))
      return false;
  return in.end();
}

} // namespace

// A short array's mark, which is a frame's first byte, with the number of its elements.
constexpr unsigned char short_array = 0x90;

std::uint32_t FrameWriter::elements() const {
  return bytes_.empty() ? 0u : static_cast<unsigned char>(bytes_[0]) - short_array;
}

void FrameWriter::append(const Message& message) {
  Bytes bytes{bytes_};
  Packer out{bytes};
  const auto write_tag = [&]<class M>(const M&) { write(out, tag<M>); };
  if (bytes_.empty()) {
    out.pack_array(one_message_elements);
    write(out, envelope_.version);
    std::visit(write_tag, message);
    write(out, envelope_.epoch);
    write(out, envelope_.session);
    write(out, envelope_.seq);
    write(out, envelope_.ack);
  } else {
    bytes_[0] = static_cast<char>(short_array + elements() + 2);
    std::visit(write_tag, message);
  }
  std::visit([&](const auto& body) { write(out, body); }, message);
}

bool FrameWriter::add(const Message& message) {
  const std::uint32_t had = elements();
  if (had == elements_max) return false;
  const std::size_t before = bytes_.size();
  append(message);
  if (had == 0 || bytes_.size() <= limits::frame_target_bytes) return true;
  bytes_.resize(before);
  bytes_[0] = static_cast<char>(short_array + had);
  return false;
}

std::string encode(const Frame& frame) {
  FrameWriter writer{frame};
  for (const Message& message : frame.messages) writer.append(message);
  return writer.take();
}

Result<Frame> decode(std::string_view bytes, Direction direction) try {
  if (bytes.size() > limits::frame_bytes_max)
    return fail(ErrorCode::bad_frame, fmt::format("expected a frame of at most {} bytes, got {}",
                                                  limits::frame_bytes_max, bytes.size()));
  MsgpackReader in{bytes};
  Frame frame;
  if (!read_frame(in, frame, direction))
    return fail(ErrorCode::bad_frame, "bad frame: " + in.fault());
  return frame;
} catch (const std::exception& error) {
  return fail(ErrorCode::bad_frame,
              fmt::format("a frame of {} bytes could not be read: {}", bytes.size(), error.what()));
}

} // namespace gristmill::protocol
