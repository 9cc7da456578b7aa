// An ordered map whose copies are cheap: a copy shares everything with its original, and whoever
// changes a value afterwards changes a copy of that value. One thread may so read a copy while
// another goes on changing the original.
//
// Values stand in chunks of at most kChunk: a copy costs one pointer for each chunk, a change of
// what is shared the pointers of one chunk and one value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace faultline::control {

template <typename Key, typename Value>
class CowMap {
  struct Slot {
    Key key;
    std::shared_ptr<Value> value;
  };
  using Chunk = std::vector<Slot>;  // never empty
  using ChunkPtr = std::shared_ptr<Chunk>;

 public:
  struct Item {
    const Key& first;
    const Value& second;
  };

  // In order of keys. Valid until the map is changed.
  class Iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    using reference = Item;
    struct pointer {
      Item item;
      const Item* operator->() const { return &item; }
    };

    Iterator() = default;
    Item operator*() const {
      const Slot& slot = (*(*chunks_)[chunk_])[slot_];
      return {slot.key, *slot.value};
    }
    pointer operator->() const { return {**this}; }
    Iterator& operator++() {
      if (++slot_ == (*chunks_)[chunk_]->size()) {
        ++chunk_;
        slot_ = 0;
      }
      return *this;
    }
    Iterator& operator--() {
      if (slot_ == 0) slot_ = (*chunks_)[--chunk_]->size();
      --slot_;
      return *this;
    }
    Iterator operator++(int) { return std::exchange(*this, ++Iterator(*this)); }
    Iterator operator--(int) { return std::exchange(*this, --Iterator(*this)); }
    bool operator==(const Iterator& other) const {
      return chunk_ == other.chunk_ && slot_ == other.slot_;
    }

   private:
    friend class CowMap;
    Iterator(const std::vector<ChunkPtr>* chunks, size_t chunk, size_t slot)
        : chunks_(chunks), chunk_(chunk), slot_(slot) {}

    const std::vector<ChunkPtr>* chunks_ = nullptr;
    size_t chunk_ = 0;
    size_t slot_ = 0;
  };

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Iterator begin() const { return {&chunks_, 0, 0}; }
  Iterator end() const { return {&chunks_, chunks_.size(), 0}; }

  // The first at or above `key`.
  Iterator lower_bound(const Key& key) const {
    const size_t chunk = ChunkOf(key);
    if (chunk == chunks_.size()) return end();
    Iterator found(&chunks_, chunk, SlotOf(*chunks_[chunk], key));
    if (found.slot_ == chunks_[chunk]->size()) return {&chunks_, chunk + 1, 0};
    return found;
  }
  Iterator find(const Key& key) const {
    const Iterator found = lower_bound(key);
    return found != end() && !(key < found->first) ? found : end();
  }
  bool contains(const Key& key) const { return find(key) != end(); }
  // `key` is in the map.
  const Value& at(const Key& key) const {
    const size_t chunk = ChunkOf(key);
    return *(*chunks_[chunk])[SlotOf(*chunks_[chunk], key)].value;
  }

  // Stays as it is now, whatever becomes of the map; `key` is in the map.
  std::shared_ptr<const Value> Shared(const Key& key) const {
    const size_t chunk = ChunkOf(key);
    return (*chunks_[chunk])[SlotOf(*chunks_[chunk], key)].value;
  }

  // To be changed; `key` is in the map. Valid until the map is copied or changed.
  Value& Mutable(const Key& key) {
    const size_t chunk = ChunkOf(key);
    Chunk& own = OwnChunk(chunk);
    std::shared_ptr<Value>& value = own[SlotOf(own, key)].value;
    Own(value);
    return *value;
  }
  // To be changed; made if there is none.
  Value& operator[](const Key& key) {
    if (!contains(key)) Insert(key, std::make_shared<Value>());
    return Mutable(key);
  }
  void Set(const Key& key, Value value) {
    if (contains(key)) {
      Mutable(key) = std::move(value);
    } else {
      Insert(key, std::make_shared<Value>(std::move(value)));
    }
  }
  // Shares `other`'s value of `key`, which it has.
  void Share(const Key& key, const CowMap& other) {
    const size_t chunk = other.ChunkOf(key);
    erase(key);
    Insert(key, (*other.chunks_[chunk])[SlotOf(*other.chunks_[chunk], key)].value);
  }

  void erase(const Key& key) {
    if (!contains(key)) return;
    const size_t chunk = ChunkOf(key);
    Chunk& own = OwnChunk(chunk);
    own.erase(own.begin() + static_cast<std::ptrdiff_t>(SlotOf(own, key)));
    if (own.empty()) chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(chunk));
    --size_;
  }

 private:
  static constexpr size_t kChunk = 128;

  // The one chunk that can hold `key`: the last that begins at or below it, or the first.
  size_t ChunkOf(const Key& key) const {
    const auto after =
        std::upper_bound(chunks_.begin(), chunks_.end(), key,
                         [](const Key& k, const ChunkPtr& c) { return k < c->front().key; });
    return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
  }
  static size_t SlotOf(const Chunk& chunk, const Key& key) {
    const auto slot = std::lower_bound(chunk.begin(), chunk.end(), key,
                                       [](const Slot& s, const Key& k) { return s.key < k; });
    return static_cast<size_t>(slot - chunk.begin());
  }

  // Makes *pointer ours alone.
  template <typename T>
  static void Own(std::shared_ptr<T>& pointer) {
    if (pointer.use_count() > 1) {
      pointer = std::make_shared<T>(*pointer);
      return;
    }
    // A copy that another thread has just dropped was read before it was dropped: releasing a
    // reference orders what that thread did before what we do now, which use_count() does not.
    const std::shared_ptr<T> ordered = pointer;
  }
  Chunk& OwnChunk(size_t chunk) {
    Own(chunks_[chunk]);
    return *chunks_[chunk];
  }

  // `key` is not in the map.
  void Insert(const Key& key, std::shared_ptr<Value> value) {
    ++size_;
    size_t chunk = ChunkOf(key);
    const bool last = chunk + 1 >= chunks_.size();
    if (chunks_.empty() ||
        (last && chunks_[chunk]->size() >= kChunk && chunks_[chunk]->back().key < key)) {
      auto added = std::make_shared<Chunk>();
      added->push_back({key, std::move(value)});
      chunks_.push_back(std::move(added));
      return;
    }
    Chunk* own = &OwnChunk(chunk);
    if (own->size() >= kChunk) {
      const auto middle = own->begin() + kChunk / 2;
      auto upper = std::make_shared<Chunk>(middle, own->end());
      own->erase(middle, own->end());
      const bool above = !(key < upper->front().key);
      chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(chunk) + 1, std::move(upper));
      if (above) own = chunks_[chunk + 1].get();
    }
    own->insert(own->begin() + static_cast<std::ptrdiff_t>(SlotOf(*own, key)),
                {key, std::move(value)});
  }

  std::vector<ChunkPtr> chunks_;
  size_t size_ = 0;
};

}  // namespace faultline::control
