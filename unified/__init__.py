"""Rankers of one backbone that mixes fields and past events: RankMixer, OneTrans, HyFormer, InterFormer, LONGER."""
